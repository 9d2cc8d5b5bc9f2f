#!/bin/sh
# Creates Bellhop's role and database. The postgres image runs this script once, on an empty volume.
# The role owns only its database: it cannot create roles or databases and is not a superuser.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password BELLHOP_PASSWORD
CREATE ROLE bellhop LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE bellhop OWNER bellhop;
REVOKE ALL ON DATABASE bellhop FROM PUBLIC;
SQL
