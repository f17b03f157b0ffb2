"""The sinkhole's events get to a stream that three servers of NATS keep: all, once and in order, when one of them is
killed or the leader changes."""

import pytest

from testbed.nats import NatsClient, NatsCluster
from testbed.sink_outbox import STREAM, Outbox, check_all_arrived_once_in_order, running  # noqa: F401


pytestmark = pytest.mark.once  # most of the time three servers elect a leader


@pytest.fixture
def cluster(tmp_path, running):
    cluster = NatsCluster(str(tmp_path))
    for one in cluster.servers:
        running(one)
    return cluster


def test_a_cluster_of_three_goes_on_when_one_is_killed(tmp_path, cluster, running):
    cluster.start()
    outbox = running(Outbox(tmp_path, cluster.servers, replicas=3)).start(60000)
    outbox.wait_sending(5)
    leader, follower = cluster.leader_of(STREAM)
    leader.kill()
    outbox.wait_sending(5)
    leader.start()
    outbox.wait_until_sent(follower)
    outbox.stop()
    check_all_arrived_once_in_order(follower, 60000)


def test_no_message_overtakes_another_when_the_leader_changes(tmp_path, cluster, running):
    cluster.start()
    outbox = running(Outbox(tmp_path, cluster.servers, replicas=3)).start(10**6, each=20)
    outbox.wait_sending(5)
    for _ in range(2):
        before, _ = cluster.leader_of(STREAM)
        with NatsClient(before) as client:
            assert client.api("STREAM.LEADER.STEPDOWN." + STREAM)["success"]
        outbox.process.wait_until(lambda old=before: cluster.leader_of(STREAM)[0] not in (None, old), "another leader")
        outbox.wait_sending(5)
    outbox.stop()
    outbox.first = outbox.written()
    outbox.start(100).wait_until_sent(cluster.servers[0])
    outbox.stop()
    check_all_arrived_once_in_order(cluster.servers[0], outbox.first)
