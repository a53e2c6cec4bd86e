"""What Label Studio 1.23 makes of the tasks that it imports, when it exports them again.

The data, the results and, as `import_id`, the number of each annotation stay; the rest is its own.
tests/servers/test_label_studio.py compares this with the program.
"""

import uuid
from typing import Any


def exported(tasks: list[dict[str, Any]], importer: int = 1) -> list[dict[str, Any]]:
    """Tasks as Label Studio exports them after a user has imported them."""
    return [
        {
            "id": number,
            "data": task["data"],
            "annotations": [
                made_there(number, importer, annotation["result"]) | {"import_id": annotation.get("id")}
                for annotation in task["annotations"]
            ],
            "drafts": [],
            "predictions": [],
            "meta": {},
            "inner_id": number,
            "total_annotations": len(task["annotations"]),
            "project": 1,
        }
        for number, task in enumerate(tasks, 1)
    ]


def made_there(number: int, user: int, result: list[dict[str, Any]]) -> dict[str, Any]:
    """An annotation that a user has made there."""
    return {
        "id": number,
        "completed_by": user,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": None,
        "prediction": {},
        "unique_id": str(uuid.uuid4()),
        "import_id": None,
        "last_action": None,
        "task": number,
        "project": 1,
        "parent_prediction": None,
        "parent_annotation": None,
    }
