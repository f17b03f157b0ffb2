"""Our answers are the answers of Knot, NSD and BIND.

Run longer or otherwise: pytest tests/peers --zones 2000 --queries 2000000 --seed tuesday
"""

import os

import differential


def check(directory, zones, request, tmp_path):
    seed, count = request.config.getoption("--seed"), request.config.getoption("--queries")
    print("seed %s, %d zones" % (seed, len(zones)))
    findings = differential.compare(directory, zones, count, seed)
    print("%d queries: %s" % (findings.queries, findings.judged))
    report = os.path.join(str(tmp_path), "differences.md")
    with open(report, "w", encoding="utf-8") as file:
        file.write(findings.report(examples=differential.EXAMPLES_MAX))
    assert not findings.classes, "seed %s: %d of %d answers are no reference's; %s begins with\n%s" % (
        seed, findings.differences(), findings.queries, report, findings.report()[:6000])
    return findings


def test_every_answer_about_generated_and_corner_zones_is_a_references_answer(request, tmp_path):
    zones = differential.prepare(str(tmp_path), request.config.getoption("--zones"),
                                 request.config.getoption("--seed"))
    findings = check(str(tmp_path), zones, request, tmp_path)
    assert findings.queries >= request.config.getoption("--queries")


def test_every_answer_about_a_root_zone_is_a_references_answer(request, tmp_path):
    check(str(tmp_path), differential.prepare_root(str(tmp_path)), request, tmp_path)
