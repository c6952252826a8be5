// Several nodes in one process, driven by the commands of the recorded scripts (tests only). Its text output
// is that of etcd-io/raft's rafttest.InteractionEnv.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "raft/datadriven_test.h"
#include "raft/raw_node.h"

namespace quorate::raft {

// "v1 l2 r3 u4": voter, learner, remove, update. Returns an error's text, or nothing.
std::string ParseConfChanges(std::string_view text, std::vector<ConfChangeSingle>* changes);

// Output of the commands and of the nodes' log, in one stream.
class ScriptOutput : public Logger {
 public:
  static constexpr int kQuiet = 5;

  bool Enabled(LogLevel level) const override { return static_cast<int>(level) >= level_; }
  void Write(LogLevel level, std::string_view line) override;
  void Print(std::string_view text);
  // Indents by two spaces what `print` writes.
  void Indented(const std::function<void()>& print);
  bool SetLevel(std::string_view name);
  int level() const { return level_; }
  void set_level(int level) { level_ = level; }
  std::string Take() { return std::exchange(text_, {}); }

 private:
  int level_ = 0;
  std::string text_;
};

// A message with those that its receiver, a storage thread, is to deliver when it is done.
struct WorkMessage {
  Message message;
  std::vector<Message> responses;
};

class InteractionEnv {
 public:
  std::string Handle(const Command& command);
  // The invariants of all nodes; run after every command.
  void CheckInvariants() const;

 private:
  // Answers the newest state the node applied when asked for a snapshot.
  struct NodeStorage : MemoryStorage {
    std::shared_ptr<const Snapshot> LatestSnapshot() const override { return history.back(); }
    std::vector<std::shared_ptr<const Snapshot>> history;
  };
  struct Node {
    Config config;
    std::unique_ptr<NodeStorage> storage;
    std::unique_ptr<RawNode> raw;
    std::deque<WorkMessage> append_work;
    std::deque<WorkMessage> apply_work;
  };

  std::string Dispatch(const Command& command);
  std::string AddNodes(const Command& command);
  std::string AddNode(Config config, const std::shared_ptr<const Snapshot>& snapshot, bool bootstrap);
  std::string DeliverMsgs(const Command& command);
  std::string ForEachNode(const Command& command, std::string_view title,
                          const std::function<void(Node&)>& run);
  std::string ProposeConfChange(const Command& command);
  std::string Stabilize(const Command& command);
  bool StabilizeOnce(const std::vector<Node*>& nodes);

  int Deliver(std::optional<MessageType> type, NodeId to, bool drop);
  std::vector<Message> TakeMessages(std::optional<MessageType> type, NodeId to, bool drop);
  Status StepMessage(Node& node, Message message);
  void ProcessReady(Node& node);
  void QueueStorageWork(Node& node, const Ready& ready, std::vector<WorkMessage>* shown);
  void ProcessWork(std::deque<WorkMessage>& work, std::string_view kind,
                   const std::function<void(const Message&)>& run);
  void ProcessAppendThread(Node& node);
  void ProcessApplyThread(Node& node);
  void StoreAppend(Node& node, const HardState& state, std::span<const Entry> entries,
                   std::shared_ptr<const Snapshot> snapshot);
  void Apply(Node& node, std::span<const Entry> entries);
  void PrintLog(const Node& node);
  void PrintRaftState();

  Node& NodeOf(const Command& command, size_t arg = 0);

  ScriptOutput output_;
  std::unique_ptr<Random> random_ = NewRandom();
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Message> messages_;  // In flight.

  static std::unique_ptr<Random> NewRandom();
};

}  // namespace quorate::raft
