"""What every server of the Hub does: it shows its user's files in the store.

The Hub's configuration beside this file makes the servers read it (JUPYTER_CONFIG_PATH); in an
image of your own it belongs into /etc/jupyter.
"""

import os

c = get_config()  # noqa: F821 - Jupyter gives it to this file

STORE = os.environ["TEAM_STORE"].rstrip("/")

c.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
c.NBForgeContentsManager.mounts = {
    "": f"{STORE}/users/{{username}}",
    "shared": f"{STORE}/shared",
    "teams/{group}": f"{STORE}/groups/{{group}}",
}

# Servers and kernels that nobody uses end: what they hold in memory is lost, no file is.
c.ServerApp.shutdown_no_activity_timeout = 8 * 3600
c.MappingKernelManager.cull_idle_timeout = 4 * 3600
