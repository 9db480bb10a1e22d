"""``shadow.html``: the slices and the frames in which two drivers differ most, as one file without any request."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import pandas as pd

from simdrive.compress.shadow.differences import MEANING, MEASURES
from simdrive.compress.shadow.foretelling import Foretold
from simdrive.compress.shadow.ranking import Slice, most_different
from simdrive.report.shadow import foretold_text

MOST_BYTES = 10_000_000  # of pictures in the page
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ teacher }} and {{ student }}</title><style>
body{font:15px/1.45 system-ui,sans-serif;margin:1.2rem auto;max-width:72rem;padding:0 .8rem;color:#1c2430;background:#fff}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .6rem;text-align:right}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}tr:nth-child(even) td{background:#f3f5f8}
.wide{overflow-x:auto}.frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
figure{margin:0;border:1px solid #d5dae2;border-radius:6px;overflow:hidden}img{width:100%;display:block;image-rendering:pixelated}
figcaption{padding:.5rem .7rem;font-size:13px}code{font-size:12px;overflow-wrap:anywhere}.sure td{font-weight:600}
</style></head><body>
<h1>{{ teacher }} and {{ student }}</h1>
<p>{{ observations }} observations of {{ cases }} cases, {{ driver }} driving. {{ by }}: {{ meaning }}.</p>
<h2>Where they differ</h2><div class="wide"><table>
<tr><th>slice</th><th>value</th><th>frames</th><th>cases</th><th>{{ by }}</th><th>excess [95 %]</th><th>p Holm</th></tr>
{% for each in slices %}<tr class="{{ 'sure' if each.p_holm < 0.05 }}"><td>{{ each.slice }}</td><td>{{ each.value }}</td>
<td>{{ each.frames }}</td><td>{{ each.cases }}</td><td>{{ '%.3f' % each.mean }}</td>
<td>{{ '%+.3f' % each.excess }}{% if each.low == each.low %} [{{ '%+.3f' % each.low }}, {{ '%+.3f' % each.high }}]{% endif %}</td>
<td>{% if each.p_holm == each.p_holm %}{{ '%.3f' % each.p_holm }}{% else %}–{% endif %}</td></tr>
{% endfor %}</table></div>
<p>Excess: mean in the slice less the mean elsewhere, intervals clustered by case. Bold: below 0.05 after Holm over all
slices. No verdict below 5 cases.</p>
{% if foretold %}<h2>Does difference foretell failure?</h2><p>{{ foretold }}</p>{% endif %}
<h2>The moments themselves</h2><div class="frames">
{% for each in moments %}<figure>{% if each.picture %}<img alt="what they saw" src="data:image/png;base64,{{ each.picture }}">
{% endif %}<figcaption><b>{{ each.scenario }}</b> at {{ '%.1f' % each.t_s }} s, {{ '%.1f' % each.ego_speed_mps }} m/s,
{{ each.kind }}{% if each.distance != each.kind %} {{ each.distance }}{% endif %}<br>{{ each.measured }}
{% if each.teacher_text or each.student_text %}<br>teacher: <code>{{ each.teacher_text }}</code><br>student:
<code>{{ each.student_text }}</code>{% endif %}</figcaption></figure>
{% endfor %}</div></body></html>
"""


def shadow_page(
    config: Mapping[str, Any], frames: pd.DataFrame, slices: Sequence[Slice], found: Foretold | None, top: int = 24
) -> str:
    """Return the page as text; every name and text of a model is escaped."""
    by = str(config["by"])
    most = most_different(frames, by)
    loader = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return loader.from_string(_PAGE).render(
        teacher=config["teacher"]["name"], student=config["student"]["name"], driver=config["driver"]["name"],
        observations=len(frames), cases=frames["case_key"].nunique(), by=by, meaning=MEANING.get(by, by), slices=slices,
        foretold="" if found is None else foretold_text(found), moments=_moments(most.head(top)),
    )  # fmt: skip


def _moments(frames: pd.DataFrame) -> list[dict[str, Any]]:
    found, spent = [], 0
    for row in frames.to_dict("records"):
        picture = row.get("picture")
        picture = picture if isinstance(picture, bytes) and spent + len(picture) <= MOST_BYTES else None
        spent += len(picture or b"")
        shown = ", ".join(f"{name} {row[name]:.2f}" for name in MEASURES if name in row and row[name] == row[name])
        found.append({
            **{name: row[name] for name in ("scenario", "ego_speed_mps", "kind", "distance")}, "t_s": row["t_us"] * 1e-6,
            "measured": shown, "teacher_text": row.get("teacher_text", ""), "student_text": row.get("student_text", ""),
            "picture": base64.b64encode(picture).decode() if picture else "",
        })  # fmt: skip
    return found
