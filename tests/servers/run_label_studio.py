"""Label Studio's own import and export, run without its server: run_label_studio.py DIRECTORY.

The directory has `tasks.json` and the labelling interface `view.xml`. Written are exports as JSON: `untouched.json`;
`changed.json`, after the first region of the first task was removed; and `second.json`, after another user has
annotated the second task as clean.
"""

import json
import os
import sys
from pathlib import Path

directory = Path(sys.argv[1]).resolve()
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
    "LABEL_STUDIO_BASE_DATA_DIR": str(directory / "data"),
    "DJANGO_DB": "sqlite",
    "LATEST_VERSION_CHECK": "false",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}
import label_studio  # noqa: E402

sys.path.insert(0, str(Path(label_studio.__file__).parent))
import django  # noqa: E402

django.setup()
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0, interactive=False)
from organizations.models import Organization  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402
from users.models import User  # noqa: E402


def person(email, organization=None):
    """A user of the organization, or of a new one."""
    user = User.objects.create_user(email=email, username=email, password="x" * 12)
    if organization is None:
        organization = Organization.create_organization(created_by=user, title="Everybody")
    else:
        organization.add_user(user)
    user.active_organization = organization
    user.save()
    return user


def ask(method, path, content, status):
    """The JSON that the interface answers."""
    reply = getattr(client, method)(path, content, format="json")
    assert reply.status_code == status, reply.content
    return reply.json()


def export(name):
    """Write the project's export, and return it."""
    reply = client.get(f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
    assert reply.status_code == 200, reply.content
    content = b"".join(reply.streaming_content) if reply.streaming else reply.content
    (directory / f"{name}.json").write_bytes(content)
    return json.loads(content)


owner = person("owner@example.org")
other = person("other@example.org", owner.active_organization)
client = APIClient()
client.force_authenticate(owner)
view = (directory / "view.xml").read_text(encoding="utf-8")
project = ask("post", "/api/projects/", {"title": "Answers", "label_config": view}, 201)["id"]
tasks = json.loads((directory / "tasks.json").read_text(encoding="utf-8"))
ask("post", f"/api/projects/{project}/import", tasks, 201)

first, second, *_ = export("untouched")
(annotation,) = first["annotations"]
ask("patch", f"/api/annotations/{annotation['id']}/", {"result": annotation["result"][1:]}, 200)
export("changed")
client.force_authenticate(other)
ask("post", f"/api/tasks/{second['id']}/annotations/", {"result": []}, 201)
client.force_authenticate(owner)
export("second")
