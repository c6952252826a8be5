// One simulation: a cluster, its clients and its faults, from one seed. The same options give the same run,
// event for event.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/client.h"
#include "sim/fault_injector.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/watcher.h"
#include "sim/world.h"

namespace quorate::sim {

struct SimulationOptions {
  uint64_t seed = 1;
  int members = 3;
  int64_t load_nanos = 20 * kSecond;            // Load and faults; then everything heals.
  int64_t fault_interval = 800 * kMillisecond;  // Mean.
  bool faults = true;
  bool disk_faults = true;
  bool member_changes = true;
  bool disks_set_back = false;
  int etcd_like_member = -1;      // This one tells the others nothing that an etcd would not.
  bool strict_probation = false;  // With it; without, a set-back is all that goes wrong.
  int key_clients = 4;
  int lease_clients = 1;
  int watchers = 3;
  bool all_watchers_slow = false;
  int64_t progress_nanos = 2 * kSecond;  // Mean, between two requests of a watcher for progress.
  int64_t think_nanos = 20 * kMillisecond;
  int64_t client_timeout_nanos = 3 * kSecond;
  bool bad_bytes = false;      // Frames between members are damaged, too; needs a wire.
  const Wire* wire = nullptr;  // Not owned.
  // What the database may take; 0: no limit.
  int64_t quota_bytes = 0;
  bool marks_failed_syncs = true;  // False: as a server that thinks nothing of them.
  bool users = false;              // There are, and what they may do changes.
  bool keep_trace = false;
  // Changes of the members' settings, after the seed has had its say.
  std::function<void(server::Config*)> configure;
};

struct Outcome {
  bool ok = true;
  std::string check;  // The broken promise.
  std::string failure;
  uint64_t trace_hash = 0;
  std::vector<std::string> trace;
  // Figures.
  uint64_t events = 0;
  uint64_t operations = 0;
  uint64_t acknowledged = 0;
  uint64_t watch_events = 0;
  int64_t revision = 0;
  uint64_t applied = 0;
  uint64_t leaders = 0;
  int64_t virtual_nanos = 0;
};

// The settings for this seed: size of the cluster, what goes wrong and how often.
SimulationOptions OptionsForSeed(uint64_t seed);
// The same, with the disk of one member set back in time, or lost, now and then.
SimulationOptions OptionsWithSetBacks(uint64_t seed);
std::vector<Fault> PlanFor(const SimulationOptions& options);

class Simulation {
 public:
  explicit Simulation(SimulationOptions options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // All of it: the start, the load under this plan, healing, and the judgement.
  Outcome Run(const std::vector<Fault>& plan);

  // ---- in steps, for scenarios ----
  // Starts the members; false when they are not all ready in time.
  bool StartCluster();
  void StartClients();
  void Inject(const std::vector<Fault>& plan) { injector_->Schedule(plan); }
  // Lets time pass; false once something has failed.
  bool RunFor(int64_t nanos);
  bool RunUntil(const std::function<bool()>& condition, int64_t nanos);
  // Heals, stops the clients, waits until all members agree, and judges.
  void Settle();
  void Judge();
  Outcome Result();

  // Asks and waits.
  Operation Ask(Request request, Node* of);
  Node& node(int index) { return *nodes_[static_cast<size_t>(index)]; }
  Node* leader();
  World& world() { return world_; }
  Trace& trace() { return trace_; }
  History& history() { return history_; }
  Truth& truth() { return truth_; }
  Network& network() { return network_; }
  FaultInjector& injector() { return *injector_; }
  size_t node_count() const { return nodes_.size(); }

 private:
  server::Config ConfigFor(int index);
  Node* AddNode(server::Config config);
  void OnEnd(Node* node);
  void StartNode(Node* node);
  void ChangeMembers(const Fault& fault);
  void AddLearner(int64_t until);
  uint64_t IdOf(const std::string& peer_url);
  void StartJoined(uint64_t id, const std::string& name, const std::string& url);
  void Promote(uint64_t id, int64_t until);
  void Remove(uint64_t id);
  std::vector<Node*> Voters();
  bool Converged();
  bool HasMember(uint64_t id);
  void CheckEndState();

  const SimulationOptions options_;
  SeededRandom random_;
  SeededRandom network_random_;
  Scheduler scheduler_;
  Trace trace_;
  Network network_;
  Truth truth_;
  RaftMonitor raft_;
  History history_;
  World world_;
  std::vector<std::unique_ptr<Node>> nodes_;
  Endpoints endpoints_;
  std::unique_ptr<FaultInjector> injector_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::unique_ptr<Client> steward_;  // Asks for what the simulation itself wants.
  uint64_t learner_ = 0;             // Added and not yet promoted.
  bool restarts_ = true;
  bool healed_ = false;
};

}  // namespace quorate::sim
