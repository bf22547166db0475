"""Stage `report`: the paper's tables, figures and one self-contained page out of everything that the folds wrote.

Numbers come from the results table (so the page and the table cannot differ), curves and confusions from the folds'
detections by the same evaluation code. Writes `tables/`, `figures/`, `timelines/` and `index.html`.
"""

import pandas as pd

from fedn_pipeline.dataset import expression_types
from fedn_pipeline.dataset.tables import ground_truth, read_events
from fedn_pipeline.files import InputError, checked, write_text
from fedn_pipeline.report import claims, figures, methods, page, published, running_costs, sections, tables
from fedn_pipeline.report.results import reference
from fedn_pipeline.training import ceiling


def _ceilings(done, videos, events, others):
    """The recall ceiling of each network whose windows, levels or anchors differ, by the first method that has them."""
    found = {}
    for method in done:
        if method.settings["folds"]["method"] == "fedn":
            result = ceiling.compute(videos, events, others, method.settings)
            if result not in found.values():
                found[method.name] = result
    return found


def _tables(inputs, results, differences, everything, every_event, settings):
    """The paper's tables in its order, the judged claims last; those without a row of ours are left out."""
    labels, types = settings["dataset"]["labels"], settings["dataset"]["expression_types"]
    costs = {method.name: method.costs for method in everything}
    found = [tables.labels(inputs.dataset, every_event, types)]
    for name in published.TABLES:
        if set(published.members(name, results.method)) - ({"fedn"} if name != "performance" else set()):
            found.append(tables.comparison(name, results, differences, costs, inputs.dataset, labels))
    judged = claims.judge(differences, inputs.dataset, labels)
    found += [running_costs.table(everything), claims.table(judged) if len(judged) else None]
    return {table.name: table for table in found if table}


def _read(stem, types):
    """The results table and its differences: `(all rows of both, those of the data set's own expression types)`."""
    every = [pd.read_csv(checked(f"{stem}{end}.csv")) for end in ("", "_differences")]
    return every, [table[table.expression_types == expression_types.words(types)] for table in every]


def run(inputs, videos, events, others, out, settings):
    """Write the whole report into the folder `out`.

    `events` is the ground truth, `others` all further events of the label set; `settings`: the data set's, all
    sections. Raises InputError for missing or doubled folds.
    """
    of_all_types, (results, differences) = _read(inputs.table, settings["dataset"]["expression_types"])
    every_event, chosen = read_events(inputs.events, videos), figures.chosen_videos(videos, settings["report"])
    everything = methods.read(inputs, videos, settings)
    done = [method for method in everything if method.experiment]
    if not done:
        raise InputError(f"{inputs.folder}: no experiment has run: nothing to report")
    first = reference([method.name for method in done])
    done.sort(key=lambda method: method.name != first)  # it is drawn first and heavier
    found = _tables(inputs, results, differences, everything, every_event, settings)
    if settings["run"]["by_type"]:
        found["by_type"] = tables.by_type(*of_all_types)
    for name in ("tables", "figures", "timelines"):
        (out / name).mkdir(parents=True, exist_ok=True)  # the workflow expects each, also where nothing is drawn
    for table in found.values():
        tables.write(out / "tables", table)
    shown = ground_truth(every_event, settings["dataset"]["expression_types"])[0]
    timelines, sheet = figures.timelines(done[0], inputs, chosen, events, shown, settings, out)
    comparing = figures.compare(done, videos, events, settings["evaluation"], out / "figures")
    comparing |= figures.rank(results, differences, done, out / "figures")
    content = sections.Content(
        inputs=inputs, settings=settings, videos=videos, events=events, results=results, methods=everything,
        reference=first, tables=found, figures=comparing,
        ceilings=_ceilings(done, videos, events, others), timelines=timelines, sheet=sheet,
    )  # fmt: skip
    title = f"Facial expressions in long videos: {inputs.dataset}, {settings['dataset']['labels']} labels"
    write_text(out / "index.html", page.render(title, sections.lead(content), sections.all_of(content)), checksum=False)
