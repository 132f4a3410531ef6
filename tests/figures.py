"""Figures of Prometheus, read from the text that a scraper gets."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Figures:
    """All samples of one scrape by name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str) -> Figures:
        """Those of a scrape; each sample may be there once only."""
        found = [
            ((sample.name, frozenset(sample.labels.items())), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        assert len(dict(found)) == len(found)
        return cls(dict(found))

    @classmethod
    def now(cls) -> Figures:
        """Those of this process."""
        return cls.of(generate_latest(REGISTRY).decode())

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    @property
    def labels(self) -> dict[str, set[str]]:
        """The values of each label of our own figures."""
        found: dict[str, set[str]] = {}
        for name, labels in self.samples:
            if name.startswith("nbforge_"):
                for label, value in labels:
                    found.setdefault(label, set()).add(value)
        return found

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with (at least) these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for (found, given), value in self.samples.items()
            if found == name and wanted <= given
        )

    def since(self, before: Figures, name: str, **labels: str) -> float:
        """By how much a figure has grown."""
        return self.value(name, **labels) - before.value(name, **labels)
