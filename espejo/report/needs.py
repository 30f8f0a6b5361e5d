"""What each measure would take for an interval of a useful width: a sentence each."""

from collections.abc import Iterable, Mapping

from espejo.evaluation import power
from espejo.report.wording import Wording


def sentences(scores: Mapping, names: Iterable[str], wording: Wording) -> list[str]:
    """A sentence about each of the measures `names` of metrics/eval.json that has a row in `power`.

    Files of older versions have none.
    """
    rows = scores.get("power", {})
    return [_sentence(name, rows[name], wording) for name in names if name in rows]


def _sentence(name: str, row: Mapping, wording: Wording) -> str:
    outcome, choice = power.outcome(row)
    values = {
        "name": wording.text(f"need.names.{name}"),
        "used": wording.number(row["used"]),
        "available": wording.number(row["available"]),
        "useful": wording.number(row["useful"]),
        "get": wording.text("need.get"),
    }
    if choice:
        number = row["choices"][choice]
        every = choice == power.ALL
        values["setting"] = "predict.generated_replies=null" if every else f"evaluate={choice}"
        values["number"] = wording.number(number)
        values["how"] = wording.text("need.more", **values)
    if "needed" in row:
        values["half"] = wording.number(row["half_width"])
        values["needed"] = wording.number(row["needed"])
        values["times"] = wording.number(row["needed"] / max(1, row["available"]), 1)
    if outcome == "partly":
        # Those that are used now gave the half width: more narrow it by the root of their number.
        values["reach"] = wording.number(row["half_width"] * (row["used"] / number) ** 0.5)
    return wording.text(f"need.{outcome}", **{"how": "", **values})
