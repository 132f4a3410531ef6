"""JupyterHub whose people keep their files in an object store.

Start the proxy, then the Hub, each with the same CONFIGPROXY_AUTH_TOKEN:

    configurable-http-proxy --ip "" --port 8000 --default-target http://127.0.0.1:8081
    jupyterhub -f jupyterhub_config.py

The values that differ from site to site come from the environment: TEAM_STORE (the storage URL
below which everything lies), HUB_STATE (a directory that survives a restart), HUB_ADMINS (names
with blanks between), HUB_URL, HUB_API_URL and PROXY_API_URL (where they listen).
"""

import json
import os
from pathlib import Path

c = get_config()  # noqa: F821 - JupyterHub gives it to this file

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("HUB_STATE", "/srv/jupyterhub"))


def groups_of(spawner):
    """The names of the user's groups, in JSON: JupyterHub does not tell its servers by itself."""
    return json.dumps(sorted(group.name for group in spawner.user.groups))


# Who may come in. Choose the authenticator of your site here.
c.JupyterHub.authenticator_class = os.environ.get("HUB_AUTHENTICATOR", "pam")
c.Authenticator.allow_all = True
c.Authenticator.admin_users = set(os.environ.get("HUB_ADMINS", "").split())

# Where the Hub, its proxy and what they keep are.
c.JupyterHub.bind_url = os.environ.get("HUB_URL", "http://127.0.0.1:8000")
c.JupyterHub.hub_bind_url = os.environ.get("HUB_API_URL", "http://127.0.0.1:8081")
c.JupyterHub.cookie_secret_file = str(STATE / "cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{STATE / 'jupyterhub.sqlite'}"

# A restart of the Hub disturbs nobody: neither the proxy nor the servers belong to its process.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ.get("PROXY_API_URL", "http://127.0.0.1:8001")
c.JupyterHub.cleanup_servers = False

# What each server is told. jupyter_server_config.py beside this file says what it does with it.
c.JupyterHub.allow_named_servers = True
c.Spawner.environment = {
    "JUPYTER_CONFIG_PATH": str(HERE),
    "NBFORGE_GROUPS": groups_of,
    "TEAM_STORE": os.environ["TEAM_STORE"],
}

# Names of files with credentials, of a region, of an endpoint: the servers need them, a key does
# not belong here, for everybody's code can read its server's environment.
c.Spawner.env_keep.extend(
    [
        *("AWS_REGION", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_ACCOUNT"),
    ]
)
