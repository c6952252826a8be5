// Several members in one process and one thread, over disks in memory and a network that is a queue, for
// tests of faults: cut links, see and drop messages, kill, cut the power, set a disk back to an earlier
// image. Faults come only where a test asks for them; src/sim has the rest.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env_sim.h"
#include "base/logging.h"
#include "raft_internal.pb.h"
#include "server/cluster_life.h"
#include "server/errors.h"
#include "server/member.h"
#include "server/snapshot_intake.h"

namespace quorate::server {

class FaultCluster {
 public:
  static constexpr std::string_view kDataDirectory = "/data";
  static constexpr std::string_view kRunDirectory = "/run/quorate";
  using Disk = std::map<std::string, std::string>;  // Path to bytes.

  class Node;

  // The way from one node to the others.
  class NodeTransport final : public Transport {
   public:
    NodeTransport(FaultCluster* cluster, size_t index) : cluster_(*cluster), index_(index) {}
    void AddPeer(uint64_t, const std::vector<std::string>&) override {}
    void RemovePeer(uint64_t) override {}
    void Send(std::vector<raft::Message> messages) override {
      for (raft::Message& message : messages) cluster_.Carry(index_, std::move(message));
    }
    void SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) override {
      cluster_.CarrySnapshot(index_, std::move(message), std::move(database));
    }
    int64_t ActiveSince(uint64_t id) const override { return cluster_.Reach(index_, id) != nullptr ? 1 : 0; }
    void Call(uint64_t to, PeerCall call, int64_t, CallDone done) override {
      cluster_.CarryCall(index_, to, std::move(call), std::move(done));
    }

   private:
    FaultCluster& cluster_;
    const size_t index_;
  };

  class Node {
   public:
    Node(FaultCluster* cluster, size_t i, uint64_t seed)
        : index(i), files(seed + 10 * i), random(seed + 10 * i + 1), transport(cluster, i) {}

    const size_t index;
    SimFileSystem files;
    SeededRandom random;
    InlineExecutor executor;
    NodeTransport transport;
    Config config;
    uint64_t id = 0;    // Of its last start.
    uint64_t life = 0;  // Counts starts.
    // Knows nothing of our own paths on the peer port, as an etcd.
    bool like_etcd = false;
    Status fatal;
    std::unique_ptr<Member> member;
    std::unique_ptr<ClusterLife> cluster_life;
  };

  FaultCluster(size_t count, uint64_t seed) {
    std::string error;
    log::Configure({.level = log::Level::kFatal}, &error);
    std::string initial;
    for (size_t i = 0; i < count; ++i) {
      const Node& node = AddNode(seed);
      initial += (initial.empty() ? "" : ",") + node.config.name + "=" + node.config.advertise_peer_urls[0];
    }
    for (const auto& node : nodes_) node->config.initial_cluster = initial;
  }
  ~FaultCluster() {
    for (const auto& node : nodes_) Forget(*node);
  }

  // A further node with a disk and settings of its own, not started.
  Node& AddNode(uint64_t seed) {
    const size_t i = nodes_.size();
    nodes_.push_back(std::make_unique<Node>(this, i, seed));
    Node& node = *nodes_.back();
    node.files.set_byte_tears(false);  // No disk cuts a write within a sector.
    Config& config = node.config;
    const std::string host = "http://10.0.0." + std::to_string(i + 1);
    config.name = "m" + std::to_string(i);
    config.data_dir = kDataDirectory;
    config.advertise_peer_urls = {host + ":2380"};
    config.advertise_client_urls = {host + ":2379"};
    config.auth.bcrypt_cost = 4;
    config.wal_segment_bytes = 256 * 1024;
    config.lost_log.run_dir = kRunDirectory;
    config.lost_log.boot_id = "boot";
    config.on_fatal = [&node](const Status& status) { node.fatal = status; };
    return node;
  }

  Node& operator[](size_t i) { return *nodes_[i]; }
  Member& member(size_t i) { return *nodes_[i]->member; }
  size_t size() const { return nodes_.size(); }

  // ---- life ----
  Status TryStart(size_t i) {
    Node& node = *nodes_[i];
    node.fatal = {};
    auto opened =
        Member::Open(node.config, {&node.files, &clock_, &node.random, &node.executor}, &node.transport);
    if (!opened.ok()) return opened.status();
    node.member = *std::move(opened);
    node.id = node.member->id();
    ++node.life;
    node.cluster_life = std::make_unique<ClusterLife>(node.member.get());
    return absl::OkStatus();
  }
  void Start(size_t i) {
    const Status status = TryStart(i);
    ASSERT_TRUE(status.ok()) << "m" << i << ": " << status;
  }
  void StartAll() {
    for (size_t i = 0; i < nodes_.size(); ++i) Start(i);
  }
  // A clean end.
  void Stop(size_t i) {
    Settle();
    const Status status = nodes_[i]->member->Close();
    EXPECT_TRUE(status.ok()) << status;
    Forget(*nodes_[i]);
  }
  // The process is gone; with `power` the machine was, too: what was not synced is lost, and so is /run.
  void Crash(size_t i, bool power = false) {
    Node& node = *nodes_[i];
    if (power) {
      node.files.Crash();
      EXPECT_TRUE(node.files.RemoveAll(std::string(kRunDirectory)).ok());
      ForgetRun(i);
    } else {
      node.files.Kill();
    }
    Forget(node);
  }
  // The machine was booted since.
  void ForgetRun(size_t i) { nodes_[i]->config.lost_log.boot_id += "+"; }

  // ---- disks ----
  Disk SaveDisk(size_t i) { return DumpOf(nodes_[i]->files, std::string(kDataDirectory)); }
  // Only of a node that is down.
  void SetDiskBack(size_t i, const Disk& disk) {
    SimFileSystem& files = nodes_[i]->files;
    ASSERT_TRUE(files.RemoveAll(std::string(kDataDirectory)).ok());
    ASSERT_TRUE(files.CreateDirectories(std::string(kDataDirectory), 0700).ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    for (const auto& [path, bytes] : disk) {
      const std::string directory = bytes == kIsDirectory ? path : path.substr(0, path.rfind('/'));
      ASSERT_TRUE(files.CreateDirectories(directory, 0700).ok());
      ASSERT_TRUE(files.SyncDirectory(directory.substr(0, directory.rfind('/'))).ok());
      if (bytes == kIsDirectory) continue;
      ASSERT_TRUE(files.WriteAtomically(path, bytes, 0600).ok());
    }
  }

  // ---- the network ----
  void Cut(size_t a, size_t b, bool cut = true) {
    for (const auto& link : {std::pair(a, b), std::pair(b, a)}) {
      if (cut) {
        cut_.insert(link);
      } else {
        cut_.erase(link);
      }
    }
  }
  void Isolate(size_t i, bool cut = true) {
    for (size_t other = 0; other < nodes_.size(); ++other) {
      if (other != i) Cut(i, other, cut);
    }
  }
  // Sees every message of raft before it is delivered; false drops it.
  void set_filter(std::function<bool(size_t from, size_t to, const raft::Message&)> filter) {
    filter_ = std::move(filter);
  }

  // ---- time ----
  // All that can happen without the clock moving.
  void Settle() {
    for (int round = 0; round < 10'000; ++round) {
      bool busy = false;
      for (const auto& node : nodes_) {
        if (!Lives(*node)) continue;
        busy |= node->executor.completed() > 0 || node->member->WantsRound();
        node->executor.RunCompletions();
        if (Lives(*node)) node->member->EndOfRound();
        busy |= node->executor.completed() > 0;
      }
      std::deque<std::function<void()>> events;
      events.swap(events_);
      for (const auto& event : events) event();
      if (!busy && events.empty()) return;
    }
    ADD_FAILURE() << "the members never come to rest";
  }
  void Tick(int count = 1) {
    for (; count > 0; --count) {
      clock_.Advance(nodes_[0]->config.tick_nanos);
      for (const auto& node : nodes_) {
        if (!Lives(*node)) continue;
        node->member->Tick();
        node->cluster_life->Tick();
      }
      Settle();
    }
  }
  // False if it never held.
  bool TickUntil(const std::function<bool()>& holds, int ticks = 300) {
    for (; ticks > 0; --ticks) {
      if (holds()) return true;
      Tick();
    }
    return holds();
  }

  // ---- what is to be seen ----
  // Of the newest term.
  std::optional<size_t> leader() const {
    std::optional<size_t> found;
    for (const auto& node : nodes_) {
      if (!node->member || !node->member->is_leader()) continue;
      if (!found || node->member->term() > nodes_[*found]->member->term()) found = node->index;
    }
    return found;
  }
  size_t WaitForLeader(int ticks = 300) {
    const bool elected = TickUntil([this] { return leader() && nodes_[*leader()]->member->ready(); }, ticks);
    EXPECT_TRUE(elected) << "no leader";
    return leader().value_or(0);
  }
  // Through node i, until it is answered.
  Status Put(size_t i, const std::string& key, const std::string& value, int ticks = 100) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    const auto answer = std::make_shared<std::optional<Status>>();
    nodes_[i]->member->Propose(EntryKind::kPut, request.SerializeAsString(), {},
                               [answer](const Status& status, std::string_view) { *answer = status; });
    Settle();
    TickUntil([&] { return answer->has_value() || nodes_[i]->member == nullptr; }, ticks);
    return answer->value_or(MakeStatus(absl::StatusCode::kDeadlineExceeded, "no answer"));
  }
  // `count` keys through the leader.
  void PutMany(const std::string& prefix, int count) {
    const size_t to = WaitForLeader();
    for (int n = 0; n < count; ++n) {
      const Status status = Put(to, prefix + std::to_string(n), "v");
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  uint32_t HashKv(size_t i) {
    std::optional<uint32_t> hash;
    nodes_[i]->member->store().HashKv(0, [&](const StatusOr<mvcc::HashKvResult>& result) {
      EXPECT_TRUE(result.ok()) << result.status();
      hash = result.ok() ? result->hash : 0;
    });
    for (int n = 0; n < 100 && !hash; ++n) Settle();
    return hash.value_or(0);
  }
  // All of these come to stand at the same index and hash alike.
  ::testing::AssertionResult Agree(const std::vector<size_t>& who, int ticks = 300) {
    const Member& first = *nodes_[who[0]]->member;
    const auto level = [&](size_t i) { return nodes_[i]->member->applied_index() == first.applied_index(); };
    const bool same = TickUntil(
        [&] { return first.applied_index() > 0 && std::all_of(who.begin(), who.end(), level); }, ticks);
    if (!same) return ::testing::AssertionFailure() << "they never stand at the same index";
    for (const size_t i : who) {
      if (HashKv(i) != HashKv(who[0])) return ::testing::AssertionFailure() << "m" << i << " differs";
    }
    return ::testing::AssertionSuccess();
  }

  SimClock& clock() { return clock_; }

 private:
  static constexpr std::string_view kIsDirectory = "<dir>";

  static Disk DumpOf(SimFileSystem& files, const std::string& directory) {
    Disk out;
    const auto names = files.List(directory);
    if (!names.ok()) return out;
    for (const std::string& name : *names) {
      const std::string path = directory + "/" + name;
      if (files.Stat(path)->directory) {
        out[path] = kIsDirectory;
        out.merge(DumpOf(files, path));
      } else {
        out[path] = *files.ReadAll(path);
      }
    }
    return out;
  }
  static bool Lives(const Node& node) { return node.member != nullptr && node.fatal.ok(); }
  static void Forget(Node& node) {
    node.executor.Drop();
    node.cluster_life.reset();
    node.member.reset();
  }
  // In a later round, if the node is still the process that it was.
  void Later(size_t i, std::function<void(Node&)> event) {
    events_.push_back([this, i, life = nodes_[i]->life, event = std::move(event)] {
      Node& node = *nodes_[i];
      if (Lives(node) && node.life == life) event(node);
    });
  }
  // The node of that member, if it is up and the link is not cut.
  Node* Reach(size_t from, uint64_t id) const {
    for (const auto& node : nodes_) {
      if (node->id == id && Lives(*node) && !cut_.contains({from, node->index})) return node.get();
    }
    return nullptr;
  }

  void Carry(size_t from, raft::Message message) {
    Node* const to = Reach(from, message.to);
    if (to == nullptr) {
      return Later(from, [id = message.to](Node& node) { node.member->ReportUnreachable(id); });
    }
    if (filter_ && !filter_(from, to->index, message)) return;
    Later(to->index, [this, from, message = std::move(message)](Node& node) {
      if (!absl::IsPermissionDenied(node.member->Step(message, MessagePath::kStream))) return;
      Later(from, [](Node& refused) { refused.member->OnRefusedAsRemoved(); });
    });
  }
  void CarrySnapshot(size_t from, raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) {
    const auto bytes = std::make_shared<std::string>();
    const Status read = database->CopyTo([bytes](std::string_view chunk) {
      *bytes += chunk;
      return absl::OkStatus();
    });
    const auto report = [this, from, id = message.to](bool ok) {
      Later(from, [id, ok](Node& node) { node.member->ReportSnapshot(id, ok); });
    };
    Node* const to = Reach(from, message.to);
    if (!read.ok() || to == nullptr || (filter_ && !filter_(from, to->index, message))) return report(false);
    Later(to->index, [message = std::move(message), bytes, report](Node& node) {
      const auto intake = std::make_shared<SnapshotIntake>(node.member->env(), node.member->snapshot_files(),
                                                           message.snapshot->metadata.index);
      intake->Append(*bytes);
      intake->Finish([&node, message, intake, report](const Status& status) {
        report(status.ok() && node.member->Step(message, MessagePath::kPost).ok());
      });
    });
  }
  void CarryCall(size_t from, uint64_t id, PeerCall call, Transport::CallDone done) {
    Node* const to = Reach(from, id);
    const auto answer = [this, from, done = std::move(done)](StatusOr<PeerAnswer> given) {
      Later(from, [done, given = std::move(given)](Node&) { done(given); });
    };
    if (to == nullptr) return answer(Unavailable("no URL of the member answered"));
    Later(to->index, [call = std::move(call), answer](Node& node) {
      if (node.like_etcd && call.path.starts_with("/quorate/")) return answer(PeerAnswer{404, "", ""});
      node.cluster_life->peer_service().Handle(call, answer);
    });
  }

  SimClock clock_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<std::function<void()>> events_;
  std::set<std::pair<size_t, size_t>> cut_;
  std::function<bool(size_t, size_t, const raft::Message&)> filter_;
};

}  // namespace quorate::server
