"""The seeded world: two workspaces, an organization with two more, and their people."""

from __future__ import annotations

from slack_sandbox.world import Channel, Enterprise, User, Workspace, World

ACME = "T0ACME0001"
BETA = "T0BETA0001"
GRID = "E0GRID0001"
NORTH = "T0GLBX0001"
SOUTH = "T0GLBX0002"
ANN = "U0ANN00001"
BEN = "U0BEN00001"
GUEST = "U0GUS00001"
DEACTIVATED = "U0DEE00001"
PLAIN = "U0PAT00001"
ANN_AT_BETA = "U0ANN00002"
BEA = "U0BEA00001"
WES = "W0WES00001"

_STARTED = 1_700_000_000


def seeded_world() -> World:
    """A new world with the seeded workspaces, people and channels."""
    world = World()
    world.enterprises[GRID] = Enterprise(GRID, "Globex Grid", "globex")
    for workspace in (
        Workspace(ACME, "Acme", "acme", email_domain="acme.example"),
        Workspace(BETA, "Beta", "beta", email_domain="beta.example"),
        Workspace(NORTH, "Globex North", "globex-north", enterprise_id=GRID),
        Workspace(SOUTH, "Globex South", "globex-south", enterprise_id=GRID),
    ):
        world.workspaces[workspace.id] = workspace
    for user in _people():
        world.users[user.id] = user
    for team_id in world.workspaces:
        _add_channels(world, team_id)
    return world


def _people() -> list[User]:
    return [
        User(
            ANN,
            ACME,
            "ann",
            "Ann Archer",
            display_name="Ann",
            email="ann@acme.example",
            title="Head Porter",
            tz="Europe/Helsinki",
            is_admin=True,
            is_owner=True,
            is_primary_owner=True,
            locale="en-GB",
            updated=_STARTED,
        ),
        User(
            BEN,
            ACME,
            "ben",
            "Ben Baker",
            display_name="ben",
            email="ben@acme.example",
            title="Night Manager",
            tz="America/New_York",
            updated=_STARTED,
        ),
        User(
            GUEST,
            ACME,
            "gus",
            "Gus Guest",
            email="gus@guest.example",
            tz="Europe/London",
            is_restricted=True,
            updated=_STARTED,
        ),
        User(DEACTIVATED, ACME, "dee", "Dee Gone", deleted=True, updated=_STARTED),
        User(PLAIN, ACME, "pat", "Pat Plain", updated=_STARTED),
        User(
            ANN_AT_BETA,
            BETA,
            "ann",
            "Ann Archer",
            email="ann@acme.example",
            title="Adviser",
            tz="Europe/Helsinki",
            updated=_STARTED,
        ),
        User(
            BEA,
            BETA,
            "bea",
            "Bea Berg",
            display_name="Bea",
            email="bea@beta.example",
            tz="Asia/Tokyo",
            is_admin=True,
            is_owner=True,
            is_primary_owner=True,
            updated=_STARTED,
        ),
        User(
            WES,
            NORTH,
            "wes",
            "Wes Wide",
            display_name="Wes",
            email="wes@globex.example",
            title="Organization admin",
            tz="America/New_York",
            is_admin=True,
            is_owner=True,
            team_ids=(NORTH, SOUTH),
            enterprise_id=GRID,
            is_org_admin=True,
            updated=_STARTED,
        ),
    ]


def _add_channels(world: World, team_id: str) -> None:
    # T0GLBX0002 has C0GLBX1001 and so on: channel ids of one organization stay distinct.
    stem = f"C{team_id[1:6]}{int(team_id[6:]) - 1}"
    active = [user for user in world.people_of(team_id) if not user.deleted]
    everyone = [user.id for user in active]
    full = [user.id for user in active if not user.is_restricted]
    first = full[0]
    for number, (name, members) in enumerate(
        (
            ("general", full),
            ("random", full),
            ("deploys", everyone),
            ("alerts", full[:1]),
            ("old-news", full),
            ("leads", full[:1]),
        ),
        start=1,
    ):
        channel = Channel(
            f"{stem}{number:03d}",
            team_id,
            name,
            is_private=name == "leads",
            is_archived=name == "old-news",
            is_general=name == "general",
            creator=first,
            created=_STARTED,
            members=list(members),
            purpose=_PURPOSES[name],
        )
        world.channels[channel.id] = channel


_PURPOSES = {
    "general": "Company-wide announcements.",
    "random": "Everything else.",
    "deploys": "Releases.",
    "alerts": "Alerts that need attention.",
    "old-news": "Closed.",
    "leads": "Planning.",
}
