#include "sim/scenarios.h"

#include <string>
#include <utility>

#include "rpc.pb.h"
#include "sim/scripted_watch.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;
using server::EntryKind;

const std::string kAll(1, '\0');

// ---- what the scripts are made of ----

SimulationOptions Members(int members) {
  SimulationOptions options;
  options.seed = 20260101;
  options.members = members;
  options.faults = options.disk_faults = options.member_changes = false;
  options.load_nanos = 8 * kSecond;
  options.configure = [](server::Config* config) {
    config->snapshot_count = 40;
    config->snapshot_catchup_entries = 10;
    config->backend_batch_operations = 10;
  };
  return options;
}
SimulationOptions Three() { return Members(3); }
SimulationOptions HeavyLoad(int members) {
  SimulationOptions options = Members(members);
  options.key_clients = 10;
  options.think_nanos = kMillisecond;
  return options;
}

Operation Put(Simulation& simulation, const std::string& key, const std::string& value, Node* of = nullptr) {
  Request request;
  request.kind = OpKind::kPut;
  request.key = key;
  request.value = value;
  return simulation.Ask(request, of != nullptr ? of : simulation.leader());
}
Operation Delete(Simulation& simulation, const std::string& key) {
  Request request;
  request.kind = OpKind::kDelete;
  request.key = key;
  return simulation.Ask(request, simulation.leader());
}
Operation Compact(Simulation& simulation, int64_t revision) {
  Request request;
  request.kind = OpKind::kCompact;
  request.revision = revision;
  return simulation.Ask(request, simulation.leader());
}
void Fill(Simulation& simulation, const std::string& name, int count) {
  for (int i = 0; i < count; ++i) Put(simulation, name, name + "." + std::to_string(i));
}

// A member that does not lead.
Node& Follower(Simulation& simulation) {
  Node* leading = simulation.leader();
  return simulation.node(leading != nullptr && leading->index() == 0 ? 1 : 0);
}
void SetIsolated(Simulation& simulation, const Node& node, bool isolated) {
  for (int other = 0; other < static_cast<int>(simulation.node_count()); ++other) {
    if (other == node.index()) continue;
    for (const auto& [from, to] : {std::pair(other, node.index()), std::pair(node.index(), other)}) {
      if (isolated) {
        simulation.network().Block(from, to);
      } else {
        simulation.network().Unblock(from, to);
      }
    }
  }
}
void ExpectSnapshots(Simulation& simulation) {
  if (simulation.world().snapshots_taken == 0)
    simulation.trace().Fail("scenario", "no snapshot was taken in");
}
void WaitForLeader(Simulation& simulation) {
  simulation.RunUntil(
      [&] {
        const Node* leading = simulation.leader();
        return leading != nullptr && simulation.node(leading->index()).member().ready();
      },
      20 * kSecond);
}
bool CaughtUp(Simulation& simulation, Node& node) {
  return simulation.RunUntil(
      [&] { return node.up() && node.member().applied_index() == simulation.truth().last_index(); },
      20 * kSecond);
}
// Through the log, as that user.
void Propose(Simulation& simulation, Node& node, EntryKind kind, const google::protobuf::Message& request,
             const std::string& user = {}) {
  auto answered = std::make_shared<bool>(false);
  node.Run([&](server::Member& member) {
    const auth::AuthInfo who =
        user.empty() ? auth::AuthInfo{} : auth::AuthInfo{user, member.auth().revision()};
    member.Propose(kind, request.SerializeAsString(), who,
                   [answered](const Status&, std::string_view) { *answered = true; });
  });
  simulation.RunUntil([&] { return *answered; }, 10 * kSecond);
}

std::vector<Fault> Repeated(FaultKind kind, int members, int64_t interval, int64_t until, int64_t number) {
  std::vector<Fault> plan;
  int turn = 0;
  for (int64_t at = 2 * kSecond; at < until; at += interval, ++turn) {
    Fault fault;
    fault.kind = kind;
    fault.at = at;
    fault.duration = interval / 2;
    fault.a = turn % members;
    fault.number = 1 + (turn * 7) % std::max<int64_t>(number, 1);
    plan.push_back(fault);
  }
  return plan;
}
void LoadUnder(Simulation& simulation, const std::vector<Fault>& plan, int64_t nanos) {
  simulation.StartClients();
  simulation.Inject(plan);
  simulation.RunFor(nanos);
}

// ---- the scripts ----

void CrashUnderLoad(Simulation& simulation) {
  const int members = static_cast<int>(simulation.node_count());
  LoadUnder(simulation, Repeated(FaultKind::kCrashAtOperation, members, 400 * kMillisecond, 10 * kSecond, 90),
            10 * kSecond);
}

void AuthAcrossSnapshot(Simulation& simulation) {
  Node& behind = Follower(simulation);
  SetIsolated(simulation, behind, true);
  simulation.RunFor(3 * kSecond);
  WaitForLeader(simulation);
  Node& leading = *simulation.leader();
  for (const char* name : {"root", "alice"}) {
    pb::AuthUserAddRequest user;
    user.set_name(name);
    user.set_password("secret");
    Propose(simulation, leading, EntryKind::kAuthUserAdd, user);
    pb::AuthRoleAddRequest role;
    role.set_name(name);
    Propose(simulation, leading, EntryKind::kAuthRoleAdd, role);
    pb::AuthUserGrantRoleRequest grant;
    grant.set_user(name);
    grant.set_role(name);
    Propose(simulation, leading, EntryKind::kAuthUserGrantRole, grant);
  }
  pb::AuthRoleGrantPermissionRequest permission;
  permission.set_name("alice");
  permission.mutable_perm()->set_permtype(authpb::Permission::READWRITE);
  permission.mutable_perm()->set_key("mine");
  Propose(simulation, leading, EntryKind::kAuthRoleGrantPermission, permission);
  Propose(simulation, leading, EntryKind::kAuthEnable, pb::AuthEnableRequest());
  const auto write = [&](Node& node, const char* user, const char* key, int number) {
    pb::PutRequest put;
    put.set_key(key);
    put.set_value(std::to_string(number));
    Propose(simulation, node, EntryKind::kPut, put, user);
  };
  for (int i = 0; i < 80; ++i) write(leading, i % 2 == 0 ? "root" : "alice", "mine", i);
  SetIsolated(simulation, behind, false);
  if (!CaughtUp(simulation, behind))
    simulation.trace().Fail("scenario", "the member was never brought up to date");
  ExpectSnapshots(simulation);
  // Some allowed, some denied: every member must decide alike, the one with the snapshot, too.
  for (int i = 0; i < 30; ++i) {
    write(i % 2 == 0 ? leading : behind, i % 3 == 0 ? "root" : "alice", i % 5 == 0 ? "hers" : "mine",
          100 + i);
  }
  // What follows is asked by nobody in particular.
  Propose(simulation, leading, EntryKind::kAuthDisable, pb::AuthDisableRequest(), "root");
}

void CrashDuringDefragment(Simulation& simulation) {
  simulation.StartClients();
  for (int nth = 1; nth < 60 && simulation.RunFor(100 * kMillisecond); nth += 2) {
    Node& node = simulation.node(nth % static_cast<int>(simulation.node_count()));
    if (!node.up()) continue;
    node.Run([](server::Member& member) { member.backend().Defragment([](const Status&) {}); });
    node.CrashAtOperation(nth, nth % 4 == 1);
    simulation.RunFor(400 * kMillisecond);
  }
}

void ProgressUnderLoad(Simulation& simulation) { LoadUnder(simulation, {}, 8 * kSecond); }

// Watches of the present and of revisions to come, on a member that is left behind and then gets a snapshot.
void WatchOnTheMemberLeftBehind(Simulation& simulation) {
  Fill(simulation, "a", 10);
  Node& behind = Follower(simulation);
  CaughtUp(simulation, behind);
  SetIsolated(simulation, behind, true);
  const int64_t now = behind.member().store().current_revision();
  for (const int64_t start : {int64_t{0}, now - 3, now + 1, now + 5, now + 30, now + 90}) {
    WatchRecord record;
    record.key = record.end = kAll;
    record.start = start;
    OpenWatch(simulation, behind, record);
  }
  simulation.RunFor(3 * kSecond);
  WaitForLeader(simulation);
  Fill(simulation, "b", 120);
  SetIsolated(simulation, behind, false);
  if (!CaughtUp(simulation, behind))
    simulation.trace().Fail("scenario", "the member was never brought up to date");
  ExpectSnapshots(simulation);
  Fill(simulation, "c", 20);
  simulation.RunFor(2 * kSecond);
}

void TransactionsOfOneKey(Simulation& simulation) {
  WatchRecord record;
  record.key = record.end = kAll;
  record.start = 1;
  for (int member = 0; member < static_cast<int>(simulation.node_count()); ++member) {
    OpenWatch(simulation, simulation.node(member), record);
  }
  for (int i = 0; i < 40; ++i) {
    Request txn;
    txn.kind = OpKind::kTxn;
    const std::string value = std::to_string(i);
    txn.then = {{OpKind::kRange, "a", {}, {}, 0, 0},
                {OpKind::kPut, "a", {}, "a" + value, 0, 0},
                {OpKind::kPut, "b", {}, "b" + value, 0, 0},
                {OpKind::kDelete, "c", {}, {}, 0, 0},
                {OpKind::kRange, "a", {}, {}, 0, 0}};
    simulation.Ask(txn, simulation.leader());
    if (i % 10 == 0) Put(simulation, "c", "c" + value);
  }
}

void SlowWatchers(Simulation& simulation) { LoadUnder(simulation, {}, 8 * kSecond); }

// The newest revision is a deletion, and it is compacted away; then the power goes.
void CrashAfterCompactingTheLastDeletion(Simulation& simulation) {
  for (int round = 0; round < 12 && simulation.RunFor(kMillisecond); ++round) {
    Put(simulation, "a", std::to_string(round));
    const Operation deletion = Delete(simulation, "a");
    Compact(simulation, deletion.response.revision);
    if (round % 3 != 0) simulation.RunFor(300 * kMillisecond);  // It reaches the database.
    Node& node = simulation.node(round % static_cast<int>(simulation.node_count()));
    if (round % 2 == 0) {
      node.CrashAtOperation(1 + round, true);
      simulation.RunFor(300 * kMillisecond);
    }
    node.Crash(round % 4 != 3);
    simulation.RunUntil([&] { return node.up() && node.member().ready(); }, 20 * kSecond);
    WaitForLeader(simulation);
    if (!node.up() || !CaughtUp(simulation, node)) continue;
    if (node.member().store().current_revision() != simulation.truth().model().revision()) {
      simulation.trace().Fail("scenario", "the revision went back to " +
                                              std::to_string(node.member().store().current_revision()));
    }
  }
}

// Watches from around a deletion at which the history is compacted.
void WatchFromTheCompactedDeletion(Simulation& simulation) {
  for (int round = 0; round < 6; ++round) {
    const std::string value = std::to_string(round);
    Put(simulation, "a", "a" + value);
    const int64_t deletion = Delete(simulation, "a").response.revision;
    Put(simulation, "b", "b" + value);
    for (const bool before : {true, false}) {
      if (!before) {
        Compact(simulation, deletion);
        simulation.RunFor(round % 2 == 0 ? kMillisecond : kSecond);
      }
      for (int member = 0; member < static_cast<int>(simulation.node_count()); ++member) {
        for (const int64_t start : {deletion - 1, deletion, deletion + 1}) {
          WatchRecord record;
          record.key = record.end = kAll;
          record.start = start;
          record.previous = member == 1;
          OpenWatch(simulation, simulation.node(member), record);
        }
      }
    }
    simulation.RunFor(200 * kMillisecond);
  }
}

// A member is cut off again and again, each time for longer than the others keep their log.
void SnapshotAfterSnapshot(Simulation& simulation) {
  for (int round = 0; round < 8; ++round) {
    Node& behind = Follower(simulation);
    SetIsolated(simulation, behind, true);
    Fill(simulation, "a" + std::to_string(round), 70);
    SetIsolated(simulation, behind, false);
    // The next snapshot may be on its way before the last has been taken.
    simulation.RunFor((round % 3) * 20 * kMillisecond);
    WaitForLeader(simulation);
  }
  simulation.RunFor(2 * kSecond);
  ExpectSnapshots(simulation);
}

// Leaders stand still under load until another has taken over, and come back with entries of their own.
void LeadersStandStill(Simulation& simulation) {
  simulation.StartClients();
  for (int round = 0; round < 15 && simulation.RunFor(kSecond); ++round) {
    if (Node* leading = simulation.leader(); leading != nullptr) leading->Pause((2 + round % 5) * kSecond);
    simulation.RunFor(7 * kSecond);
  }
}

// Under load a member is brought up to date by a snapshot, and loses its power as soon as it has it.
void CrashAfterASnapshotUnderLoad(Simulation& simulation) {
  simulation.StartClients();
  for (int round = 0; round < 8 && simulation.RunFor(kMillisecond); ++round) {
    Node& behind = Follower(simulation);
    SetIsolated(simulation, behind, true);
    simulation.RunFor(2 * kSecond);
    const uint64_t applied = behind.member().applied_index();
    SetIsolated(simulation, behind, false);
    simulation.RunUntil([&] { return behind.member().applied_index() > applied; }, 10 * kSecond);
    behind.Crash(round % 2 == 0);
    simulation.RunFor(kMillisecond);
    simulation.RunUntil([&] { return behind.up() && behind.member().ready(); }, 20 * kSecond);
  }
  ExpectSnapshots(simulation);
}

void ReadOfCompactedRevisionInTxn(Simulation& simulation) {
  Fill(simulation, "a", 20);
  Compact(simulation, 10);
  const int64_t last = simulation.truth().model().revision();
  for (const int64_t revision : {int64_t{5}, int64_t{9}, int64_t{10}, int64_t{11}, last, last + 50}) {
    Request txn;
    txn.kind = OpKind::kTxn;
    txn.then = {{OpKind::kPut, "b", {}, "b" + std::to_string(revision), 0, 0},
                {OpKind::kRange, "a", {}, {}, 0, revision}};
    simulation.Ask(txn, simulation.leader());
    simulation.node(0).Crash(true);
    simulation.RunUntil([&] { return simulation.node(0).up(); }, 10 * kSecond);
    WaitForLeader(simulation);
  }
}

void CrashWhileTakingASnapshot(Simulation& simulation) {
  for (int round = 0; round < 12 && simulation.RunFor(kMillisecond); ++round) {
    Node& behind = Follower(simulation);
    SetIsolated(simulation, behind, true);
    Fill(simulation, "a" + std::to_string(round), 70);
    SetIsolated(simulation, behind, false);
    if (behind.up()) behind.CrashAtOperation(1 + round * 3, round % 2 == 0);
    simulation.RunFor(kSecond);
    simulation.RunUntil([&] { return behind.up() && behind.member().ready(); }, 20 * kSecond);
    WaitForLeader(simulation);
  }
  ExpectSnapshots(simulation);
}

void PausesUnderReads(Simulation& simulation) {
  const int members = static_cast<int>(simulation.node_count());
  std::vector<Fault> plan = Repeated(FaultKind::kPause, members, 700 * kMillisecond, 12 * kSecond, 0);
  for (Fault& fault : plan) fault.duration = (200 + (fault.at / kMillisecond * 13) % 2500) * kMillisecond;
  LoadUnder(simulation, plan, 12 * kSecond);
}

SimulationOptions HeavyThree() { return HeavyLoad(3); }
// Clients that soon turn to another member, so that the load goes on while one is cut off.
SimulationOptions HeavyThreeWithoutPatience() {
  SimulationOptions options = HeavyLoad(3);
  options.client_timeout_nanos = 50 * kMillisecond;
  return options;
}
SimulationOptions HeavyOne() { return HeavyLoad(1); }
SimulationOptions ManyProgressRequests() {
  SimulationOptions options = HeavyLoad(3);
  options.watchers = 8;
  options.all_watchers_slow = true;
  options.progress_nanos = 15 * kMillisecond;
  return options;
}
SimulationOptions ManySlowWatchers() {
  SimulationOptions options = HeavyLoad(1);
  options.watchers = 12;
  options.all_watchers_slow = true;
  return options;
}

constexpr Scenario kScenarios[] = {
    {"issue13766", "the consistent index could reach the disk without the changes that it names",
     "both are written in one transaction of the database", HeavyThree, CrashUnderLoad},
    {"issue14370", "a single member acknowledged writes before its log was synced",
     "raft counts the own copy only after the sync (M3 of server/member.h)", HeavyOne, CrashUnderLoad},
    {"issue14571", "a member restored from a snapshot went on with old users and permissions",
     "users and roles are read anew from the restored database, with all that is derived from them", Three,
     AuthAcrossSnapshot},
    {"issue14685", "a crash in a defragmentation left data without the consistent index that belongs to it",
     "a defragmentation copies a committed state; the index goes with the changes, always", Three,
     CrashDuringDefragment},
    {"issue15220", "progress was answered ahead of events that were still to be sent",
     "progress is told only when all watches of the stream have everything, and goes the same way as events",
     ManyProgressRequests, ProgressUnderLoad},
    {"issue15271", "after a snapshot a watch of the future was sent events of the past",
     "a watch has one number, the next revision it is owed, and a restored store does not change it", Three,
     WatchOnTheMemberLeftBehind},
    {"issue17247", "results of a transaction's cached reads led to events that came twice",
     "events are made where the write is made, once", Three, TransactionsOfOneKey},
    {"issue17529", "events of a watch whose client reads slowly were dropped",
     "nothing is queued for a full stream: it is owed a revision number, and catches up from history",
     ManySlowWatchers, SlowWatchers},
    {"issue17780", "after a crash in a compaction of the newest deletions the revision fell",
     "the revision is restored from the compacted revision, too, and the log is replayed from the consistent "
     "index",
     Three, CrashAfterCompactingTheLastDeletion},
    {"issue18089", "a compaction at a deletion took it from a watch that had not had it yet",
     "the deletion at the compacted revision is kept, and left out of hashes; a watch that needs more is "
     "told so",
     Three, WatchFromTheCompactedDeletion},
    {"issue18055", "a second snapshot shortly after the first ended the process",
     "snapshots are taken in one after the other, and an older file is removed only when none refers to it",
     Three, SnapshotAfterSnapshot},
    {"issue18667", "a transaction that reads a compacted revision was half executed on some members",
     "reads of a transaction are checked before its first write", Three, ReadOfCompactedRevisionInTxn},
    {"issue19179", "a watch from the very revision of a compaction missed the deletion there",
     "the deletion at the compacted revision is kept, and left out of hashes", Three,
     WatchFromTheCompactedDeletion},
    {"issue20221a", "a watch from a revision to come was sent progress of the present",
     "progress is told to a watch only once its start is reached", Three, WatchOnTheMemberLeftBehind},
    {"issue20221b", "a watch from a revision to come was sent events before it",
     "what is before its start is not owed to a watch, whoever lags", Three, WatchOnTheMemberLeftBehind},
    {"issue20271", "the database of a snapshot was damaged while it was taken in",
     "it is checked, synced and renamed before anything refers to it", Three, CrashWhileTakingASnapshot},
    {"issue20418", "a repeated read-index request could be confirmed by answers to the first",
     "every round has a number of its own, and only the last one's answer counts", Three, PausesUnderReads},
    // Found by this simulator, in ourselves.
    {"standing-leader", "ours: an answer that needed no sync of its own waited for ever behind one that did",
     "what waits behind a log write is acknowledged with it", Three, LeadersStandStill},
    {"snapshot-ahead", "ours: the database sent with a snapshot could be newer than the snapshot says",
     "both are cut at one moment (Backend::BeginSnapshot)", HeavyThreeWithoutPatience,
     CrashAfterASnapshotUnderLoad},
};

}  // namespace

std::span<const Scenario> Scenarios() { return kScenarios; }

Outcome RunScenario(const Scenario& scenario, bool keep_trace) {
  SimulationOptions options = scenario.options();
  options.keep_trace = keep_trace;
  Simulation simulation(options);
  if (!simulation.StartCluster() && !simulation.trace().failed()) {
    simulation.trace().Fail("starts", "the cluster was not ready in time");
  }
  if (!simulation.trace().failed()) scenario.script(simulation);
  if (!simulation.trace().failed()) simulation.Settle();
  simulation.Judge();
  return simulation.Result();
}

}  // namespace quorate::sim
