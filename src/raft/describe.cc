#include "raft/describe.h"

#include "absl/strings/str_format.h"
#include "raft/confchange_codec.h"

namespace quorate::raft {
namespace {

// As Go prints a []uint64.
std::string List(const std::vector<NodeId>& ids) {
  std::string text = "[";
  for (NodeId id : ids) absl::StrAppendFormat(&text, "%s%d", text.size() > 1 ? " " : "", id);
  return text + "]";
}

// "v1 l2 r3 u4"
std::string Operations(const ConfChangeV2& change) {
  static constexpr char kLetters[] = {'v', 'r', 'u', 'l'};
  std::string text;
  for (const ConfChangeSingle& single : change.changes) {
    absl::StrAppendFormat(&text, "%s%c%d", text.empty() ? "" : " ",
                          kLetters[static_cast<size_t>(single.type)], single.node_id);
  }
  return text;
}

const char* Describe(ConfChangeTransition transition) {
  switch (transition) {
    case ConfChangeTransition::kAuto:
      return "ConfChangeTransitionAuto";
    case ConfChangeTransition::kJointImplicit:
      return "ConfChangeTransitionJointImplicit";
    case ConfChangeTransition::kJointExplicit:
      return "ConfChangeTransitionJointExplicit";
  }
  return "?";
}

std::string DescribeTarget(NodeId id) {
  switch (id) {
    case kNone:
      return "None";
    case UINT64_MAX:
      return "AppendThread";
    case UINT64_MAX - 1:
      return "ApplyThread";
    default:
      return absl::StrFormat("%x", id);
  }
}

}  // namespace

const char* Describe(MessageType type) {
  static constexpr const char* kNames[] = {"MsgHup",
                                           "MsgBeat",
                                           "MsgProp",
                                           "MsgApp",
                                           "MsgAppResp",
                                           "MsgVote",
                                           "MsgVoteResp",
                                           "MsgSnap",
                                           "MsgHeartbeat",
                                           "MsgHeartbeatResp",
                                           "MsgUnreachable",
                                           "MsgSnapStatus",
                                           "MsgCheckQuorum",
                                           "MsgTransferLeader",
                                           "MsgTimeoutNow",
                                           "MsgReadIndex",
                                           "MsgReadIndexResp",
                                           "MsgPreVote",
                                           "MsgPreVoteResp",
                                           "MsgStorageAppend",
                                           "MsgStorageAppendResp",
                                           "MsgStorageApply",
                                           "MsgStorageApplyResp",
                                           "MsgForgetLeader"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "?";
}

const char* Describe(EntryType type) {
  static constexpr const char* kNames[] = {"EntryNormal", "EntryConfChange", "EntryConfChangeV2"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "?";
}

const char* Describe(ConfChangeType type) {
  static constexpr const char* kNames[] = {"ConfChangeAddNode", "ConfChangeRemoveNode",
                                           "ConfChangeUpdateNode", "ConfChangeAddLearnerNode"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "?";
}

const char* Describe(Role role) {
  static constexpr const char* kNames[] = {"StateFollower", "StateCandidate", "StateLeader",
                                           "StatePreCandidate"};
  const auto i = static_cast<size_t>(role);
  return i < std::size(kNames) ? kNames[i] : "?";
}

std::string Describe(const Entry& entry) {
  std::string data;
  if (entry.type == EntryType::kNormal) {
    data = Quote(entry.data.view());
  } else {
    const StatusOr<ConfChangeV2> change = DecodeConfChange(entry);
    data = change.ok() ? Operations(*change) : std::string(quorate::Message(change.status()));
  }
  return absl::StrFormat("%d/%d %s%s%s", entry.term, entry.index, Describe(entry.type),
                         data.empty() ? "" : " ", data);
}

std::string Describe(std::span<const Entry> entries) {
  std::string text;
  for (const Entry& entry : entries) text += Describe(entry) + "\n";
  return text;
}

std::string Describe(const HardState& state) {
  std::string text = absl::StrFormat("Term:%d", state.term);
  if (state.vote != kNone) absl::StrAppendFormat(&text, " Vote:%d", state.vote);
  absl::StrAppendFormat(&text, " Commit:%d", state.commit);
  return text;
}

std::string Describe(const SoftState& state) {
  return absl::StrFormat("Lead:%d State:%s", state.lead, Describe(state.role));
}

std::string Describe(const ConfState& state) {
  return absl::StrFormat("Voters:%s VotersOutgoing:%s Learners:%s LearnersNext:%s AutoLeave:%s",
                         List(state.voters), List(state.voters_outgoing), List(state.learners),
                         List(state.learners_next), state.auto_leave ? "true" : "false");
}

std::string Describe(const Snapshot& snapshot) {
  const SnapshotMetadata& metadata = snapshot.metadata;
  return absl::StrFormat("Index:%d Term:%d ConfState:%s", metadata.index, metadata.term,
                         Describe(metadata.conf_state));
}

std::string Describe(const ConfChangeV2& change) {
  std::string text = absl::StrFormat("transition:%s", Describe(change.transition));
  for (const ConfChangeSingle& single : change.changes) {
    absl::StrAppendFormat(&text, " changes:{type:%s node_id:%d}", Describe(single.type), single.node_id);
  }
  if (!change.context.empty()) text += " context:" + Quote(change.context);
  return text;
}

// As Go prints the struct: the context as a list of bytes.
std::string Describe(const ReadState& state) {
  std::string bytes;
  for (char c : state.context) {
    absl::StrAppendFormat(&bytes, "%s%d", bytes.empty() ? "" : " ",
                          static_cast<int>(static_cast<uint8_t>(c)));
  }
  return absl::StrFormat("{%d [%s]}", state.index, bytes);
}

std::string Describe(const Message& m, std::string_view indent_view) {
  const std::string indent(indent_view);
  std::string text = absl::StrFormat("%s%s->%s %s Term:%d Log:%d/%d", indent, DescribeTarget(m.from),
                                     DescribeTarget(m.to), Describe(m.type), m.term, m.log_term, m.index);
  if (m.reject) absl::StrAppendFormat(&text, " Rejected (Hint: %d)", m.reject_hint);
  if (m.commit != 0) absl::StrAppendFormat(&text, " Commit:%d", m.commit);
  if (m.vote != kNone) absl::StrAppendFormat(&text, " Vote:%d", m.vote);
  if (m.entries.size() == 1) {
    text += " Entries:[" + Describe(m.entries.front()) + "]";
  } else if (!m.entries.empty()) {
    text += " Entries:[";
    for (const Entry& entry : m.entries) text += "\n" + indent + "  " + Describe(entry);
    text += "\n" + indent + "]";
  }
  if (m.snapshot != nullptr && !m.snapshot->empty())
    text += "\n" + indent + "  Snapshot: " + Describe(*m.snapshot);
  return text;
}

std::string DescribeWithoutMessages(const Ready& ready) {
  std::string text;
  if (ready.soft_state.has_value()) text += Describe(*ready.soft_state) + "\n";
  if (ready.hard_state.has_value() && !ready.hard_state->empty()) {
    text += "HardState " + Describe(*ready.hard_state) + "\n";
  }
  if (!ready.read_states.empty()) {
    std::string states;
    for (const ReadState& state : ready.read_states) states += (states.empty() ? "" : " ") + Describe(state);
    text += "ReadStates [" + states + "]\n";
  }
  if (!ready.entries.empty()) text += "Entries:\n" + Describe(ready.entries);
  if (ready.snapshot != nullptr) text += "Snapshot " + Describe(*ready.snapshot) + "\n";
  if (!ready.committed_entries.empty()) text += "CommittedEntries:\n" + Describe(ready.committed_entries);
  return text;
}

std::string Quote(std::string_view bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const auto byte = static_cast<uint8_t>(c);
    static constexpr char kNamed[] = "\a\b\f\n\r\t\v";
    static constexpr char kNames[] = "abfnrtv";
    const char* named = byte == 0 ? nullptr : std::char_traits<char>::find(kNamed, sizeof kNamed - 1, c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (named != nullptr) {
      text += '\\';
      text += kNames[named - kNamed];
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      absl::StrAppendFormat(&text, "\\x%02x", static_cast<int>(byte));
    }
  }
  return text + "\"";
}

}  // namespace quorate::raft
