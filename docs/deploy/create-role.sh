#!/bin/sh
# Run once by the postgres image, in an empty database: the role that Bellhop connects as.
# It owns its database, and nothing else: it is no superuser, and makes no roles or databases.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password BELLHOP_PASSWORD
CREATE ROLE bellhop LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE bellhop OWNER bellhop;
REVOKE ALL ON DATABASE bellhop FROM PUBLIC;
SQL
