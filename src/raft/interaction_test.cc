#include "raft/interaction_test.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "raft/raft.h"

namespace quorate::raft {

// Reaches into a node where a script says what randomness would else decide.
class RawNodePeer {
 public:
  static void SetElectionTimeout(RawNode& node, int ticks) {
    node.raft_->randomized_election_timeout_ = ticks;
  }
};

namespace {

constexpr const char* kLevels[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};

class Mt19937 : public Random {
 public:
  uint64_t Next() override { return engine_(); }

 private:
  std::mt19937_64 engine_{7};
};

std::string ErrorText(const Status& status) {
  return status.ok() ? std::string() : std::string(quorate::Message(status));
}

bool IsTrue(const std::string& text) { return text == "true"; }

std::optional<MessageType> TypeOf(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(MessageType::kForgetLeader); ++i) {
    if (name == Describe(static_cast<MessageType>(i))) return static_cast<MessageType>(i);
  }
  ADD_FAILURE() << "unknown message type " << name;
  return std::nullopt;
}

}  // namespace

std::string ParseConfChanges(std::string_view text, std::vector<ConfChangeSingle>* changes) {
  std::istringstream in{std::string(text)};
  for (std::string token; in >> token;) {
    if (token.size() < 2) return "unknown token " + token;
    ConfChangeSingle change;
    switch (token.front()) {
      case 'v':
        change.type = ConfChangeType::kAddNode;
        break;
      case 'l':
        change.type = ConfChangeType::kAddLearnerNode;
        break;
      case 'r':
        change.type = ConfChangeType::kRemoveNode;
        break;
      case 'u':
        change.type = ConfChangeType::kUpdateNode;
        break;
      default:
        return "unknown input: " + token;
    }
    change.node_id = std::stoull(token.substr(1));
    changes->push_back(change);
  }
  return {};
}

void ScriptOutput::Write(LogLevel level, std::string_view line) {
  Print(std::string(kLevels[static_cast<int>(level)]) + " " + std::string(line) + "\n");
}

void ScriptOutput::Print(std::string_view text) {
  if (level_ != kQuiet) text_ += text;
}

void ScriptOutput::Indented(const std::function<void()>& print) {
  std::string outer = Take();
  print();
  std::istringstream lines(Take());
  for (std::string line; std::getline(lines, line);) outer += "  " + line + "\n";
  text_ = std::move(outer);
}

bool ScriptOutput::SetLevel(std::string_view name) {
  for (int i = 0; i < 6; ++i) {
    if (absl::EqualsIgnoreCase(kLevels[i], absl::string_view(name.data(), name.size()))) {
      level_ = i;
      return true;
    }
  }
  return false;
}

std::unique_ptr<Random> InteractionEnv::NewRandom() { return std::make_unique<Mt19937>(); }

std::string InteractionEnv::Handle(const Command& command) {
  const std::string error = Dispatch(command);
  CheckInvariants();
  std::string text = output_.Take() + error;
  return text.empty() ? "ok" : text;
}

void InteractionEnv::CheckInvariants() const {
  for (const auto& node : nodes_) {
    const Status status = node->raw->CheckInvariants();
    EXPECT_TRUE(status.ok()) << "node " << node->config.id << ": " << status;
  }
}

InteractionEnv::Node& InteractionEnv::NodeOf(const Command& command, size_t arg) {
  return *nodes_.at(std::stoull(command.args.at(arg).key) - 1);
}

// Returns the text of an error.
std::string InteractionEnv::Dispatch(const Command& command) {
  const std::string& name = command.name;
  if (name == "_breakpoint") return {};
  if (name == "add-nodes") return AddNodes(command);
  if (name == "campaign") return ErrorText(NodeOf(command).raw->Campaign());
  if (name == "compact") {
    Node& node = NodeOf(command);
    if (Status s = node.storage->Compact(std::stoull(command.args.at(1).key)); !s.ok()) return ErrorText(s);
    PrintLog(node);
    return {};
  }
  if (name == "deliver-msgs") return DeliverMsgs(command);
  if (name == "process-ready") {
    return ForEachNode(command, "handling Ready", [this](Node& node) { ProcessReady(node); });
  }
  if (name == "process-append-thread") {
    return ForEachNode(command, "processing append thread",
                       [this](Node& node) { ProcessAppendThread(node); });
  }
  if (name == "process-apply-thread") {
    return ForEachNode(command, "processing apply thread", [this](Node& node) { ProcessApplyThread(node); });
  }
  if (name == "log-level") {
    if (output_.SetLevel(command.args.at(0).key)) return {};
    return "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";
  }
  if (name == "raft-log") {
    PrintLog(NodeOf(command));
    return {};
  }
  if (name == "raft-state") {
    PrintRaftState();
    return {};
  }
  if (name == "set-randomized-election-timeout") {
    RawNodePeer::SetElectionTimeout(*NodeOf(command).raw, std::stoi(command.Values("timeout").at(0)));
    return {};
  }
  if (name == "stabilize") return Stabilize(command);
  if (name == "status") {
    output_.Print(Describe(NodeOf(command).raw->GetStatus().progress));
    return {};
  }
  if (name == "tick-election" || name == "tick-heartbeat") {
    Node& node = NodeOf(command);
    const int ticks = name == "tick-election" ? node.config.election_tick : node.config.heartbeat_tick;
    for (int i = 0; i < ticks; ++i) node.raw->Tick();
    return {};
  }
  if (name == "transfer-leadership") {
    const NodeId from = std::stoull(command.Values("from").at(0));
    nodes_.at(from - 1)->raw->TransferLeader(std::stoull(command.Values("to").at(0)));
    return {};
  }
  if (name == "forget-leader") {
    // The original's driver drops an error of this command.
    NodeOf(command).raw->ForgetLeader().IgnoreError();
    return {};
  }
  if (name == "send-snapshot") {
    Node& from = NodeOf(command);
    messages_.push_back({.type = MessageType::kSnap,
                         .to = NodeOf(command, 1).config.id,
                         .from = from.config.id,
                         .term = from.raw->GetBasicStatus().hard_state.term,
                         .snapshot = from.storage->LatestSnapshot()});
    output_.Print(Describe(messages_.back()));
    return {};
  }
  if (name == "propose") return ErrorText(NodeOf(command).raw->Propose(command.args.at(1).key));
  if (name == "propose-conf-change") return ProposeConfChange(command);
  if (name == "report-unreachable") {
    if (command.args.size() != 2) {
      return "must specify exactly two node indexes: node on which to report, and reported node";
    }
    NodeOf(command).raw->ReportUnreachable(NodeOf(command, 1).config.id);
    return {};
  }
  return "unknown command";
}

std::string InteractionEnv::AddNodes(const Command& command) {
  Config config;
  config.election_tick = 3;
  config.heartbeat_tick = 1;
  config.max_inflight_msgs = std::numeric_limits<int>::max();
  config.async_storage_writes = false;
  auto snapshot = std::make_shared<Snapshot>();
  bool bootstrap = false;
  for (const CommandArg& arg : command.args) {
    for (const std::string& value : arg.values) {
      if (arg.key == "voters") {
        snapshot->metadata.conf_state.voters.push_back(std::stoull(value));
      } else if (arg.key == "learners") {
        snapshot->metadata.conf_state.learners.push_back(std::stoull(value));
      } else if (arg.key == "inflight") {
        config.max_inflight_msgs = std::stoi(value);
      } else if (arg.key == "index") {
        snapshot->metadata.index = config.applied = std::stoull(value);
      } else if (arg.key == "content") {
        snapshot->data = value;
      } else if (arg.key == "async-storage-writes") {
        config.async_storage_writes = IsTrue(value);
      } else if (arg.key == "prevote") {
        config.pre_vote = IsTrue(value);
      } else if (arg.key == "checkquorum") {
        config.check_quorum = IsTrue(value);
      } else if (arg.key == "max-committed-size-per-ready") {
        config.max_committed_size_per_ready = std::stoull(value);
      } else if (arg.key == "disable-conf-change-validation") {
        config.disable_conf_change_validation = IsTrue(value);
      } else if (arg.key == "read-only") {
        if (value != "safe" && value != "lease-based") return "invalid read-only option \"" + value + "\"";
        config.read_only_option = value == "safe" ? ReadOnlyOption::kSafe : ReadOnlyOption::kLeaseBased;
      } else if (arg.key == "step-down-on-removal") {
        config.step_down_on_removal = IsTrue(value);
      } else {
        continue;
      }
    }
  }
  bootstrap = *snapshot != Snapshot{};
  if (bootstrap) {
    if (snapshot->metadata.index <= 1) return "index must be specified as > 1 due to bootstrap";
    snapshot->metadata.term = 1;
  }
  for (int i = std::stoi(command.args.at(0).key); i > 0; --i) {
    if (std::string error = AddNode(config, snapshot, bootstrap); !error.empty()) return error;
  }
  return {};
}

std::string InteractionEnv::AddNode(Config config, const std::shared_ptr<const Snapshot>& snapshot,
                                    bool bootstrap) {
  auto node = std::make_unique<Node>();
  node->storage = std::make_unique<NodeStorage>();
  node->storage->history.push_back(snapshot);
  if (bootstrap) {
    if (Status s = node->storage->ApplySnapshot(snapshot); !s.ok()) return ErrorText(s);
  }
  config.id = nodes_.size() + 1;
  config.storage = node->storage.get();
  config.random = random_.get();
  config.logger = &output_;
  node->config = config;
  StatusOr<std::unique_ptr<RawNode>> raw = RawNode::Create(config);
  if (!raw.ok()) return ErrorText(raw.status());
  node->raw = *std::move(raw);
  nodes_.push_back(std::move(node));
  return {};
}

std::string InteractionEnv::ForEachNode(const Command& command, std::string_view title,
                                        const std::function<void(Node&)>& run) {
  for (size_t i = 0; i < command.args.size(); ++i) {
    Node& node = NodeOf(command, i);
    if (command.args.size() == 1) {
      run(node);
    } else {
      output_.Print(absl::StrFormat("> %d %s\n", node.config.id, std::string(title)));
      output_.Indented([&] { run(node); });
    }
  }
  return {};
}

std::string InteractionEnv::ProposeConfChange(const Command& command) {
  bool v1 = false;
  ConfChangeV2 change;
  for (const CommandArg& arg : command.args) {
    for (const std::string& value : arg.values) {
      if (arg.key == "v1") {
        v1 = IsTrue(value);
      } else if (arg.key == "transition") {
        if (value == "auto") {
          change.transition = ConfChangeTransition::kAuto;
        } else if (value == "implicit") {
          change.transition = ConfChangeTransition::kJointImplicit;
        } else if (value == "explicit") {
          change.transition = ConfChangeTransition::kJointExplicit;
        } else {
          return "unknown transition " + value;
        }
      } else {
        return "unknown command " + arg.key;
      }
    }
  }
  if (std::string error = ParseConfChanges(command.input, &change.changes); !error.empty()) return error;
  RawNode& raw = *NodeOf(command).raw;
  if (!v1) return ErrorText(raw.ProposeConfChange(change));
  if (change.changes.size() > 1 || change.transition != ConfChangeTransition::kAuto) {
    return "v1 conf change can only have one operation and no transition";
  }
  const ConfChangeSingle& single = change.changes.at(0);
  return ErrorText(
      raw.ProposeConfChange(ConfChange{.type = single.type, .node_id = single.node_id, .context = {}}));
}

std::string InteractionEnv::Stabilize(const Command& command) {
  const int level_before = output_.level();
  std::vector<Node*> nodes;
  for (size_t i = 0; i < command.args.size(); ++i) {
    if (command.args[i].values.empty()) nodes.push_back(&NodeOf(command, i));
  }
  for (const std::string& level : command.Values("log-level")) {
    if (!output_.SetLevel(level)) return "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";
  }
  if (nodes.empty()) {
    for (const auto& node : nodes_) nodes.push_back(node.get());
  }
  int rounds = 0;
  while (StabilizeOnce(nodes)) {
    if (++rounds > 10000) {
      ADD_FAILURE() << "the nodes do not come to rest";
      break;
    }
  }
  output_.set_level(level_before);
  return {};
}

// Returns whether there was anything to do.
bool InteractionEnv::StabilizeOnce(const std::vector<Node*>& nodes) {
  bool busy = false;
  auto section = [&](const Node& node, const char* title, const std::function<void()>& run) {
    output_.Print(absl::StrFormat("> %d %s\n", node.config.id, title));
    run();
    busy = true;
  };
  for (Node* node : nodes) {
    if (!node->raw->HasReady()) continue;
    section(*node, "handling Ready", [&] { output_.Indented([&] { ProcessReady(*node); }); });
  }
  for (Node* node : nodes) {
    const NodeId id = node->config.id;
    if (std::none_of(messages_.begin(), messages_.end(), [id](const Message& m) { return m.to == id; }))
      continue;
    section(*node, "receiving messages",
            [&] { output_.Indented([&] { Deliver(std::nullopt, id, false); }); });
  }
  for (Node* node : nodes) {
    if (node->append_work.empty()) continue;
    section(*node, "processing append thread", [&] {
      while (!node->append_work.empty()) output_.Indented([&] { ProcessAppendThread(*node); });
    });
  }
  for (Node* node : nodes) {
    if (node->apply_work.empty()) continue;
    section(*node, "processing apply thread", [&] {
      while (!node->apply_work.empty()) output_.Indented([&] { ProcessApplyThread(*node); });
    });
  }
  return busy;
}

std::string InteractionEnv::DeliverMsgs(const Command& command) {
  std::optional<MessageType> type;
  for (const std::string& name : command.Values("type")) type = TypeOf(name);
  int handled = 0;
  for (const CommandArg& arg : command.args) {
    if (arg.values.empty()) handled += Deliver(type, std::stoull(arg.key), false);
    if (arg.key != "drop") continue;
    for (const std::string& id : arg.values) handled += Deliver(type, std::stoull(id), true);
  }
  if (handled == 0) output_.Print("no messages\n");
  return {};
}

TEST(InteractionTest, RecordedBehaviour) {
  const std::vector<std::string> scripts = FindScripts(ScriptKind::kInteraction);
  if (scripts.empty()) GTEST_SKIP() << "no recorded behaviour at hand";
  for (const std::string& path : scripts) {
    InteractionEnv env;
    RunScript(path, [&env](const Command& command) { return env.Handle(command); });
  }
}

}  // namespace quorate::raft
