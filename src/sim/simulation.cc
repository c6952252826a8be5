#include "sim/simulation.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/checkers.h"

namespace quorate::sim {
namespace {

constexpr int64_t kStartNanos = 20 * kSecond;
constexpr int64_t kMemberChangeNanos = 8 * kSecond;
constexpr int64_t kConvergeNanos = 60 * kSecond;
// The fastest clock against the slowest, with room for rounding.
constexpr int64_t kClockSpreadPpm = 20'000;

// Asks only what it is told to.
class Steward final : public Client {
 public:
  using Client::Client;

 private:
  Request Choose() override { return {}; }
};

std::string PeerUrl(int index) { return "http://10.0.0." + std::to_string(index + 1) + ":2380"; }
std::string MemberName(int index) { return "m" + std::to_string(index); }

}  // namespace

Simulation::Simulation(SimulationOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      network_random_(options_.seed * 3 + 1),
      trace_(&scheduler_, options_.keep_trace),
      network_(&scheduler_, &network_random_),
      truth_(&scheduler_, &trace_),
      raft_(&trace_) {
  world_.scheduler = &scheduler_;
  world_.trace = &trace_;
  world_.network = &network_;
  world_.truth = &truth_;
  world_.raft = &raft_;
  world_.history = &history_;
  world_.wire = options_.wire;
  world_.node_of = [this](uint64_t id) -> Node* {
    for (const auto& node : nodes_) {
      if (node->member_id() == id) return node.get();
    }
    return nullptr;
  };
  FaultInjector::Hooks hooks;
  hooks.node = [this](int index) -> Node* {
    return index < static_cast<int>(nodes_.size()) ? nodes_[static_cast<size_t>(index)].get() : nullptr;
  };
  hooks.nodes = [this] {
    std::vector<Node*> all;
    for (const auto& node : nodes_) all.push_back(node.get());
    return all;
  };
  hooks.clients = [this] {
    std::vector<int> actors;
    for (size_t i = 0; i <= clients_.size() + watchers_.size(); ++i)
      actors.push_back(kFirstClient + static_cast<int>(i));
    return actors;
  };
  hooks.change_members = [this](const Fault& fault) { ChangeMembers(fault); };
  injector_ = std::make_unique<FaultInjector>(&world_, std::move(hooks));
  steward_ = std::make_unique<Steward>(&world_, &endpoints_,
                                       ClientOptions{.number = 0,
                                                     .seed = options_.seed * 5,
                                                     .timeout_nanos = 10 * kSecond,
                                                     .user = options_.users ? "root" : ""});
}

Simulation::~Simulation() { restarts_ = false; }

server::Config Simulation::ConfigFor(int index) {
  server::Config config;
  config.name = MemberName(index);
  config.data_dir = "/" + MemberName(index);
  config.advertise_peer_urls = {PeerUrl(index)};
  config.advertise_client_urls = {"http://10.0.0." + std::to_string(index + 1) + ":2379"};
  for (int i = 0; i < options_.members; ++i) {
    config.initial_cluster += (i == 0 ? "" : ",") + MemberName(i) + "=" + PeerUrl(i);
  }
  SeededRandom random(options_.seed + 1000);  // The same for all members.
  config.snapshot_count = 20 + random.Below(300);
  config.snapshot_catchup_entries = 5 + random.Below(100);
  config.snapshot_files_max = 2;
  config.wal_files_max = 2;
  config.wal_segment_bytes = 16'384 << random.Below(3);
  config.backend_batch_operations = 20 + random.Below(200);
  config.compaction_batch_limit = 5 + random.Below(50);
  config.watch_progress_interval_nanos = kSecond;
  config.quota_backend_bytes = options_.quota_bytes > 0 ? options_.quota_bytes : -1;
  config.strict_reconfig_check = random.Below(3) == 0;
  config.lease_checkpoint = random.Below(3) == 0;
  config.auth.bcrypt_cost = 4;
  config.lost_log.run_dir = "/run/" + config.name;
  config.lost_log.strict_probation = options_.strict_probation;
  if (options_.configure) options_.configure(&config);
  return config;
}

Node* Simulation::AddNode(server::Config config) {
  NodeOptions options;
  options.index = static_cast<int>(nodes_.size());
  options.seed = random_.Next();
  options.config = std::move(config);
  options.clock_rate_ppm = static_cast<int64_t>(random_.Below(kClockSpreadPpm)) - kClockSpreadPpm / 2;
  options.etcd_like = options.index == options_.etcd_like_member;
  options.marks_failed_syncs = options_.marks_failed_syncs;
  options.on_end = [this](Node* node) { OnEnd(node); };
  nodes_.push_back(std::make_unique<Node>(&world_, std::move(options)));
  return nodes_.back().get();
}

// ---- life of the processes ----

void Simulation::OnEnd(Node* node) {
  if (!restarts_ || node->removed()) return;
  scheduler_.At(injector_->RestartAt(*node), [this, node] {
    if (restarts_ && !node->up() && !node->removed()) StartNode(node);
  });
}

void Simulation::StartNode(Node* node) {
  if (node->Start()) return;
  const bool excused = node->crashed_opening() || node->excused();
  if (!excused && !node->removed() && (node->member_id() == 0 || HasMember(node->member_id()))) {
    trace_.Fail("opens-again",
                ActorName(node->index()) + " can't be opened: " + node->last_error().ToString());
    return;
  }
  if (excused) OnEnd(node);
}

bool Simulation::StartCluster() {
  for (int i = 0; i < options_.members; ++i) endpoints_.push_back(AddNode(ConfigFor(i)));
  for (const auto& node : nodes_) StartNode(node.get());
  return RunUntil(
      [this] {
        return std::all_of(nodes_.begin(), nodes_.end(),
                           [](const auto& node) { return node->up() && node->member().ready(); });
      },
      kStartNanos);
}

void Simulation::StartClients() {
  int number = 1;
  const auto next = [&] {
    ClientOptions options;
    options.number = number;
    options.seed = options_.seed * 13 + static_cast<uint64_t>(number++);
    options.think_nanos = options_.think_nanos;
    options.timeout_nanos = options_.client_timeout_nanos;
    options.big_values = options_.seed % 3 == 0;
    if (options_.users) options.user = "root";
    return options;
  };
  for (int i = 0; i < options_.key_clients; ++i) {
    ClientOptions key = next();
    if (options_.users && i % 2 == 1) key.user = "alice";
    clients_.push_back(std::make_unique<KeyClient>(&world_, &endpoints_, key));
  }
  for (int i = 0; i < options_.lease_clients; ++i) {
    ClientOptions lease = next();
    lease.think_nanos *= 4;
    clients_.push_back(std::make_unique<LeaseClient>(&world_, &endpoints_, lease));
  }
  if (options_.users) {
    ClientOptions changes = next();
    changes.think_nanos = 100 * kMillisecond;
    clients_.push_back(std::make_unique<AuthClient>(&world_, &endpoints_, changes));
  }
  ClientOptions operations = next();
  operations.think_nanos = 400 * kMillisecond;
  operations.disarms = options_.quota_bytes > 0;
  clients_.push_back(std::make_unique<OperatorClient>(&world_, &endpoints_, operations));
  for (int i = 0; i < options_.watchers; ++i) {
    WatcherOptions options;
    options.number = number;
    options.seed = options_.seed * 17 + static_cast<uint64_t>(number++);
    options.watches = 1 + i % 3;
    options.slow = options_.all_watchers_slow || i % 2 == 1;
    options.progress_nanos = options_.progress_nanos;
    watchers_.push_back(std::make_unique<Watcher>(&world_, &endpoints_, options));
  }
  for (const auto& client : clients_) client->Start();
  for (const auto& watcher : watchers_) watcher->Start();
}

bool Simulation::RunUntil(const std::function<bool()>& condition, int64_t nanos) {
  const int64_t until = scheduler_.now() + nanos;
  while (!trace_.failed()) {
    if (condition()) return true;
    if (!scheduler_.RunNext(until)) return condition();
  }
  return false;
}

bool Simulation::RunFor(int64_t nanos) {
  RunUntil([] { return false; }, nanos);
  return !trace_.failed();
}

Operation Simulation::Ask(Request request, Node* of) {
  auto answer = std::make_shared<Operation>();
  auto given = std::make_shared<bool>(false);
  steward_->Ask(std::move(request), of, [answer, given](const Operation& operation) {
    *answer = operation;
    *given = true;
  });
  RunUntil([&] { return *given; }, 20 * kSecond);
  return *answer;
}

Node* Simulation::leader() {
  Node* found = nullptr;
  for (const auto& node : nodes_) {
    if (!node->up() || !node->member().is_leader()) continue;
    if (found == nullptr || node->member().term() > found->member().term()) found = node.get();
  }
  return found;
}

// ---- changes of the members ----

bool Simulation::HasMember(uint64_t id) {
  for (const auto& node : nodes_) {
    if (node->up() && node->member().membership().removed(id)) return false;
  }
  return true;
}

void Simulation::ChangeMembers(const Fault& fault) {
  if (fault.kind == FaultKind::kAddLearner) return AddLearner(scheduler_.now() + kMemberChangeNanos);
  if (fault.kind == FaultKind::kPromote) {
    if (learner_ != 0) Promote(learner_, scheduler_.now() + kMemberChangeNanos);
    return;
  }
  if (fault.a >= static_cast<int>(nodes_.size()) || endpoints_.size() < 4) return;
  Remove(node(fault.a).member_id());
}

// The member with that URL, as the leader knows it: an answer may have been lost.
uint64_t Simulation::IdOf(const std::string& peer_url) {
  Node* leading = leader();
  if (leading == nullptr) return 0;
  for (const auto& [id, member] : leading->member().membership().members()) {
    if (member.peer_urls.front() == peer_url) return id;
  }
  return 0;
}

void Simulation::AddLearner(int64_t until) {
  if (learner_ != 0) return;
  const int index = static_cast<int>(nodes_.size());
  Request request;
  request.kind = OpKind::kMemberAdd;
  request.peer_url = PeerUrl(index);
  Node* of = leader();
  steward_->Ask(std::move(request), of, [this, index, until](const Operation& added) {
    const uint64_t id = added.acknowledged() ? added.response.member : IdOf(PeerUrl(index));
    if (id != 0 && learner_ == 0) {
      learner_ = id;
      StartJoined(id, MemberName(index), PeerUrl(index));
    } else if (id == 0 && scheduler_.now() < until && !healed_) {
      scheduler_.After(500 * kMillisecond, [this, until] { AddLearner(until); });
    }
  });
}

// As `member add` tells its user: the others' names and URLs, and its own.
void Simulation::StartJoined(uint64_t id, const std::string& name, const std::string& url) {
  server::Config config = ConfigFor(static_cast<int>(nodes_.size()));
  if (config.name != name) return;
  config.new_cluster = false;
  config.initial_cluster = name + "=" + url;
  cluster::RemoteCluster remote;
  for (const auto& node : nodes_) {
    if (!node->up() || !node->member().membership().members().contains(id)) continue;
    remote.cluster_id = node->member().cluster_id();
    for (auto [other, member] : node->member().membership().members()) {
      if (other == id) {
        member.attributes.name = name;
      } else if (member.started()) {
        config.initial_cluster += "," + member.attributes.name + "=" + member.peer_urls.front();
      }
      remote.members.push_back(member);
    }
    break;
  }
  if (remote.members.empty()) return;
  config.remote_cluster = std::move(remote);
  Node* node = AddNode(std::move(config));
  trace_.Note(node->index(), "joins", {{"id", id}});
  StartNode(node);
}

void Simulation::Promote(uint64_t id, int64_t until) {
  Request request;
  request.kind = OpKind::kMemberPromote;
  request.member = id;
  steward_->Ask(std::move(request), leader(), [this, id, until](const Operation& promoted) {
    if (promoted.acknowledged()) {
      learner_ = 0;
      if (Node* node = world_.node_of(id); node != nullptr) endpoints_.push_back(node);
    } else if (scheduler_.now() < until && !healed_) {
      scheduler_.After(300 * kMillisecond, [this, id, until] { Promote(id, until); });
    }
  });
}

void Simulation::Remove(uint64_t id) {
  Request request;
  request.kind = OpKind::kMemberRemove;
  request.member = id;
  steward_->Ask(std::move(request), leader(), [this, id](const Operation& removed) {
    if (removed.acknowledged())
      std::erase_if(endpoints_, [&](const Node* node) { return node->member_id() == id; });
  });
}

// ---- the end ----

std::vector<Node*> Simulation::Voters() {
  std::vector<Node*> voters;
  Node* leading = leader();
  if (leading == nullptr) return voters;
  for (const auto& [id, member] : leading->member().membership().members()) {
    Node* node = world_.node_of(id);
    if (node != nullptr && !node->quarantined()) voters.push_back(node);
  }
  return voters;
}

bool Simulation::Converged() {
  Node* leading = leader();
  if (leading == nullptr) return false;
  const uint64_t index = leading->member().applied_index();
  if (index != truth_.last_index()) return false;
  for (Node* node : Voters()) {
    if (!node->up() || node->paused() || !node->member().ready()) return false;
    if (node->member().leader() != leading->member_id() || node->member().applied_index() != index)
      return false;
  }
  return true;
}

void Simulation::Settle() {
  injector_->HealAll();
  healed_ = true;
  RunFor(3 * kSecond);  // Some load without faults.
  for (const auto& client : clients_) client->Stop();
  for (const auto& watcher : watchers_) watcher->Settle();
  // Clients are told where there is nothing to be had.
  std::erase_if(endpoints_, [](Node* node) { return node->quarantined(); });
  const bool idle = RunUntil(
      [this] {
        const bool asking =
            std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return !c->idle(); });
        return !asking && (!truth_.modelled() || truth_.model().leases().empty()) && Converged() &&
               std::all_of(watchers_.begin(), watchers_.end(), [](const auto& w) { return w->connected(); });
      },
      kConvergeNanos);
  if (idle || trace_.failed()) return;
  std::string state;
  for (const auto& node : nodes_) {
    state += " " + ActorName(node->index());
    if (!node->up()) {
      state += " down;";
      continue;
    }
    server::Member& member = node->member();
    state += (member.ready() ? " ready" : " not ready") + std::string(", leader ") +
             std::to_string(member.leader()) + ", term " + std::to_string(member.term()) + ", applied " +
             std::to_string(member.applied_index()) + ";";
  }
  trace_.Fail("comes-to-rest", "60 s after all faults have healed: " + std::to_string(truth_.last_index()) +
                                   " entries applied, " + std::to_string(truth_.model().leases().size()) +
                                   " leases left;" + state);
}

// Every member by itself: a full read, its hash, its own invariants.
void Simulation::CheckEndState() {
  for (Node* node : Voters()) {
    if (trace_.failed()) return;
    server::Member& member = node->member();
    member.watch_hub().CheckInvariants();
    member.lessor().CheckInvariants();
    member.membership().CheckInvariants();
    if (member.is_learner()) continue;
    Request read;
    read.key = read.end = std::string(1, '\0');
    Request hash;
    hash.kind = OpKind::kHashKv;
    for (Request* request : {&read, &hash}) {
      const Operation answer = Ask(*request, node);
      if (!answer.acknowledged()) {
        trace_.Fail("serves-after-healing", Describe(answer) + ": " + answer.response.status.ToString());
      }
    }
    if (truth_.modelled() && member.store().current_revision() != truth_.model().revision()) {
      trace_.Fail("same-revision", ActorName(node->index()) + " ends at revision " +
                                       std::to_string(member.store().current_revision()) + ", not " +
                                       std::to_string(truth_.model().revision()));
    }
  }
}

void Simulation::Judge() {
  if (trace_.failed()) return;
  CheckEndState();
  RunFor(2 * kSecond);  // What watchers are owed arrives.
  const auto judge = [this](const char* check, const Violation& violation) {
    if (violation) trace_.Fail(check, *violation);
  };
  judge("equal-hashes", CheckHashes(history_));
  if (!truth_.modelled()) return;
  const auto first_seen = [this](int64_t revision) { return truth_.FirstSeen(revision); };
  judge("linearizable", CheckLinearizable(history_, truth_.model(), first_seen));
  judge("serializable", CheckSerializable(history_, truth_.model(), first_seen));
  judge("watch", CheckWatches(history_, truth_.model(), healed_ ? truth_.model().revision() : 0));
  judge("lease", CheckLeases(
                     history_,
                     [this](int64_t lease) {
                       const auto it = truth_.leases().find(lease);
                       return LeaseEnd{it == truth_.leases().end() ? -1 : it->second.revoked_at};
                     },
                     kClockSpreadPpm));
}

Outcome Simulation::Result() {
  Outcome outcome;
  outcome.ok = !trace_.failed();
  outcome.check = trace_.failed_check();
  outcome.failure = trace_.failure();
  outcome.trace_hash = trace_.hash();
  outcome.trace = trace_.Lines();
  outcome.events = scheduler_.events();
  outcome.operations = history_.operations.size();
  for (const auto& [id, operation] : history_.operations) outcome.acknowledged += operation.acknowledged();
  for (const auto& [id, watch] : history_.watches) {
    for (const WatchAnswer& answer : watch.answers) outcome.watch_events += answer.events.size();
  }
  outcome.revision = truth_.model().revision();
  outcome.applied = truth_.last_index();
  outcome.leaders = raft_.leaders_seen();
  outcome.virtual_nanos = scheduler_.now();
  return outcome;
}

Outcome Simulation::Run(const std::vector<Fault>& plan) {
  if (!StartCluster() && !trace_.failed()) trace_.Fail("starts", "the cluster was not ready in time");
  if (!trace_.failed()) {
    StartClients();
    Inject(plan);
    RunFor(options_.load_nanos + 2 * kSecond);
  }
  if (!trace_.failed()) Settle();
  Judge();
  return Result();
}

}  // namespace quorate::sim
