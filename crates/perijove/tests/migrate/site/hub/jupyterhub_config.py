"""The hub's configuration."""
import os

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = os.environ.get("DOCKER_NOTEBOOK_IMAGE", "quay.io/jupyterhub/singleuser:5.2.1")
# c.DockerSpawner.image = "jupyterhub/singleuser"
c.ConfigurableHTTPProxy.command = ["configurable-http-proxy", "--log-level=warn"]
