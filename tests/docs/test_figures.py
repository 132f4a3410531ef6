"""What the page, the dashboard and the alerts say of figures is what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.metrics import MetricWrapperBase

from jupyter_nbforge.storage import metrics

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/observability.md"
DASHBOARD = ROOT / "examples/grafana/dashboard.json"
ALERTS = ROOT / "examples/prometheus/alerts.yml"
SCRAPING = ROOT / "examples/prometheus/prometheus.yml"

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_OF_PROMETHEUS = {"le", "instance"}


def our_metrics() -> list[MetricWrapperBase]:
    found = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    assert len(found) > 10
    return found


def labels_of() -> dict[str, set[str]]:
    """Each name that a query may use, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in our_metrics():
        (family,) = metric.describe()
        for suffix in _SUFFIXES[family.type]:
            found[family.name + suffix] = set(metric._labelnames)
    return found


def dashboard_queries() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$provider", "s3")


def alert_queries() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def page_queries() -> Iterator[str]:
    for block in re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL):
        yield from re.split(r"\n(?=\S)", block.strip())


QUERIES = [*dashboard_queries(), *alert_queries(), *page_queries()]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_promql_over_figures_and_labels_that_there_are(query: str) -> None:
    promql_parser.parse(query)
    known = labels_of()
    names = re.findall(r"nbforge_\w+", query)
    assert names
    assert set(names) <= set(known)
    used = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', query))
    for given in re.findall(r"\bby \(([^)]*)\)", query):
        used |= {label.strip() for label in given.split(",")}
    allowed = set.union(*(known[name] for name in names)) | _OF_PROMETHEUS
    assert used <= allowed


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_only_for_errors_that_there_are(query: str) -> None:
    from jupyter_nbforge.storage import errors

    for name in re.findall(r"\b\w+Error\b", query):
        assert issubclass(getattr(errors, name), errors.StorageError)


def test_the_page_has_every_figure_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| (`nbforge_[^|]*) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    ours = {}
    for metric in our_metrics():
        (family,) = metric.describe()
        suffix = "_total" if family.type == "counter" else ""
        ours[family.name + suffix] = set(metric._labelnames)
    assert documented == ours


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for part in [*panels, *(target for panel in panels for target in panel["targets"])]:
        assert part["datasource"]["uid"] == "${datasource}"


def test_the_scrape_configuration_names_the_alerts_and_the_route() -> None:
    configuration = yaml.safe_load(SCRAPING.read_text())
    assert configuration["rule_files"] == [ALERTS.name]
    assert configuration["scrape_configs"][0]["metrics_path"] == "/metrics"
