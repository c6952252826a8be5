// The machinery behind the commands: messages on their way, Readies, the two storage threads.
#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "raft/interaction_test.h"

namespace quorate::raft {
namespace {

constexpr NodeId kAppendThread = UINT64_MAX;
constexpr NodeId kApplyThread = UINT64_MAX - 1;

std::string ErrorText(const Status& status) {
  return status.ok() ? std::string() : std::string(quorate::Message(status));
}

std::string DescribeWork(const WorkMessage& work) {
  std::string text = Describe(work.message);
  if (work.responses.empty()) return text;
  text += " Responses:[";
  for (const Message& response : work.responses) text += "\n" + Describe(response, "  ");
  return text + "\n]";
}

Message AppendMessage(NodeId id, const Ready& ready) {
  Message m{.type = MessageType::kStorageAppend, .to = kAppendThread, .from = id, .entries = ready.entries};
  if (ready.hard_state.has_value()) {
    m.term = ready.hard_state->term;
    m.vote = ready.hard_state->vote;
    m.commit = ready.hard_state->commit;
  }
  m.snapshot = ready.snapshot;
  return m;
}

Message AppendResponse(NodeId id, const PersistAck& ack) {
  return {.type = MessageType::kStorageAppendResp,
          .to = id,
          .from = kAppendThread,
          .term = ack.term,
          .log_term = ack.log_term,
          .index = ack.index,
          .snapshot = ack.snapshot};
}

bool IsLocal(const Message& m) { return m.from == m.to || m.from >= kApplyThread || m.to >= kApplyThread; }

}  // namespace

std::vector<Message> InteractionEnv::TakeMessages(std::optional<MessageType> type, NodeId to, bool drop) {
  std::vector<Message> taken;
  std::vector<Message> rest;
  for (Message& m : messages_) {
    const bool take = m.to == to && !(drop && IsLocal(m)) && (!type.has_value() || m.type == *type);
    (take ? taken : rest).push_back(std::move(m));
  }
  messages_ = std::move(rest);
  return taken;
}

int InteractionEnv::Deliver(std::optional<MessageType> type, NodeId to, bool drop) {
  std::vector<Message> messages = TakeMessages(type, to, drop);
  for (Message& m : messages) {
    output_.Print((drop ? "dropped: " : "") + Describe(m) + "\n");
    if (drop) continue;
    const Status status = StepMessage(*nodes_.at(to - 1), std::move(m));
    if (!status.ok()) output_.Print(ErrorText(status) + "\n");
  }
  return static_cast<int>(messages.size());
}

Status InteractionEnv::StepMessage(Node& node, Message m) {
  std::vector<Message> none;
  if (m.type == MessageType::kStorageAppendResp) {
    node.raw->OnPersisted({.messages = {},
                           .stable = true,
                           .term = m.term,
                           .index = m.index,
                           .log_term = m.log_term,
                           .snapshot = m.snapshot},
                          &none);
    return absl::OkStatus();
  }
  if (m.type == MessageType::kStorageApplyResp) {
    ApplyAck ack{.index = m.entries.back().index};
    for (const Entry& entry : m.entries) {
      ack.encoded_bytes += EncodedSize(entry);
      ack.payload_bytes += entry.data.size();
    }
    node.raw->OnApplied(ack);
    return absl::OkStatus();
  }
  if (m.from == m.to) {
    if (!node.raw->GetStatus().config.voters.Contains(m.to))
      return NotFound("raft: cannot step as peer not found");
    PersistAck ack;
    ack.messages.push_back(std::move(m));
    node.raw->OnPersisted(std::move(ack), &none);
    return absl::OkStatus();
  }
  return node.raw->Step(std::move(m));
}

void InteractionEnv::ProcessReady(Node& node) {
  const Ready ready = node.raw->NextReady();
  std::string text = DescribeWithoutMessages(ready);
  std::vector<WorkMessage> shown;
  for (const Message& m : ready.messages) shown.push_back({m, {}});
  if (node.config.async_storage_writes) QueueStorageWork(node, ready, &shown);
  if (!shown.empty()) text += "Messages:\n";
  for (const WorkMessage& m : shown) text += DescribeWork(m) + "\n";
  output_.Print(text.empty()
                    ? "<empty Ready>"
                    : absl::StrFormat("Ready MustSync=%s:\n%s", ready.must_sync ? "true" : "false", text));

  if (!node.config.async_storage_writes) {
    StoreAppend(node, ready.hard_state.value_or(HardState{}), ready.entries, ready.snapshot);
    Apply(node, ready.committed_entries);
  }
  messages_.insert(messages_.end(), ready.messages.begin(), ready.messages.end());
  if (!node.config.async_storage_writes) node.raw->Advance();
}

void InteractionEnv::QueueStorageWork(Node& node, const Ready& ready, std::vector<WorkMessage>* shown) {
  const NodeId id = node.config.id;
  if (ready.NeedsPersist()) {
    WorkMessage work{AppendMessage(id, ready), ready.persist.messages};
    if (ready.persist.stable) work.responses.push_back(AppendResponse(id, ready.persist));
    shown->push_back(work);
    node.append_work.push_back(std::move(work));
  }
  if (!ready.committed_entries.empty()) {
    WorkMessage work;
    work.message = {.type = MessageType::kStorageApply,
                    .to = kApplyThread,
                    .from = id,
                    .entries = ready.committed_entries};
    work.responses.push_back({.type = MessageType::kStorageApplyResp,
                              .to = id,
                              .from = kApplyThread,
                              .entries = ready.committed_entries});
    shown->push_back(work);
    node.apply_work.push_back(std::move(work));
  }
}

void InteractionEnv::ProcessWork(std::deque<WorkMessage>& queue, std::string_view kind,
                                 const std::function<void(const Message&)>& run) {
  if (queue.empty()) {
    output_.Print("no " + std::string(kind) + " work to perform");
    return;
  }
  WorkMessage work = std::move(queue.front());
  queue.pop_front();
  output_.Print("Processing:\n" + Describe(work.message) + "\n");
  run(work.message);
  output_.Print("Responses:\n");
  for (Message& response : work.responses) {
    output_.Print(Describe(response) + "\n");
    messages_.push_back(std::move(response));
  }
}

void InteractionEnv::ProcessAppendThread(Node& node) {
  ProcessWork(node.append_work, "append", [&](const Message& m) {
    StoreAppend(node, {m.term, m.vote, m.commit}, m.entries, m.snapshot);
  });
}

void InteractionEnv::ProcessApplyThread(Node& node) {
  ProcessWork(node.apply_work, "apply", [&](const Message& m) { Apply(node, m.entries); });
}

void InteractionEnv::StoreAppend(Node& node, const HardState& state, std::span<const Entry> entries,
                                 std::shared_ptr<const Snapshot> snapshot) {
  if (!state.empty()) node.storage->SetHardState(state);
  if (snapshot == nullptr) return node.storage->Append(entries);
  EXPECT_TRUE(entries.empty()) << "can't apply snapshot and entries at the same time";
  const Status status = node.storage->ApplySnapshot(std::move(snapshot));
  EXPECT_TRUE(status.ok()) << status;
}

// The state machine appends all data to one string.
void InteractionEnv::Apply(Node& node, std::span<const Entry> entries) {
  for (const Entry& entry : entries) {
    const Snapshot& before = *node.storage->history.back();
    auto after = std::make_shared<Snapshot>();
    after->metadata = {before.metadata.conf_state, entry.index, entry.term};
    after->data = before.data;
    if (entry.type == EntryType::kNormal) {
      after->data += entry.data.view();
    } else {
      const StatusOr<ConfChangeV2> change = DecodeConfChange(entry);
      ASSERT_TRUE(change.ok()) << change.status();
      StatusOr<ConfState> state = node.raw->ApplyConfChange(*change);
      ASSERT_TRUE(state.ok()) << state.status();
      after->metadata.conf_state = *std::move(state);
      after->data += change->context;
    }
    node.storage->history.push_back(std::move(after));
  }
}

void InteractionEnv::PrintLog(const Node& node) {
  const Index first = node.storage->FirstIndex();
  const Index last = node.storage->LastIndex();
  if (last < first) {
    output_.Print(absl::StrFormat("log is empty: first index=%d, last index=%d", first, last));
    return;
  }
  std::vector<Entry> entries;
  EXPECT_TRUE(node.storage->Entries(first, last + 1, kNoLimit, &entries));
  output_.Print(Describe(entries));
}

void InteractionEnv::PrintRaftState() {
  for (const auto& node : nodes_) {
    const NodeStatus status = node->raw->GetStatus();
    output_.Print(absl::StrFormat("%d: %s %s Term:%d Lead:%d\n", status.id, Describe(status.soft_state.role),
                                  status.config.voters.Contains(status.id) ? "(Voter)" : "(Non-Voter)",
                                  status.hard_state.term, status.soft_state.lead));
  }
}

}  // namespace quorate::raft
