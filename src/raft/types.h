// The plain data of consensus, shared by raft, wal, server and peer. Field meanings and the numbers of the
// enums are etcd-io/raft's (raftpb/raft.proto); the numbers are frozen: they are on disk and on the wire.
// Nothing here knows how it is encoded, except the two kinds of ConfChange, which travel as the data of an
// entry (confchange_codec.h).
//
// Ownership: all are values. Copying an Entry or a Message never copies a payload: Payload and the snapshot
// of a Message are immutable and counted by reference, so the in-memory log, the WAL encoder, apply and the
// senders to other members all look at the same bytes, from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quorate::raft {

using Term = uint64_t;
using Index = uint64_t;
using NodeId = uint64_t;

// No node: no leader known, no vote cast, nobody to transfer to.
constexpr NodeId kNone = 0;

// Immutable bytes behind a reference count. Made from a string by move: one small allocation, no copy of the
// bytes.
class Payload {
 public:
  Payload() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an entry's data is written as a string.
  Payload(std::string bytes)
      : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Payload(const char* text) : Payload(std::string(text)) {}

  std::string_view view() const { return bytes_ ? std::string_view(*bytes_) : std::string_view(); }
  size_t size() const { return bytes_ ? bytes_->size() : 0; }
  bool empty() const { return bytes_ == nullptr; }

  friend bool operator==(const Payload& a, const Payload& b) {
    return a.bytes_ == b.bytes_ || a.view() == b.view();
  }

 private:
  std::shared_ptr<const std::string> bytes_;  // Null when empty.
};

enum class EntryType : uint8_t { kNormal = 0, kConfChange = 1, kConfChangeV2 = 2 };

struct Entry {
  Term term = 0;
  Index index = 0;
  Payload data = {};
  EntryType type = EntryType::kNormal;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// What must be on disk before a message that depends on it leaves.
struct HardState {
  Term term = 0;
  NodeId vote = kNone;
  Index commit = 0;

  bool empty() const { return term == 0 && vote == kNone && commit == 0; }
  friend bool operator==(const HardState&, const HardState&) = default;
};

// A configuration as snapshots and WAL snapshot records carry it. Outside of a joint configuration
// voters_outgoing and learners_next are empty and auto_leave is false. Lists made by this library are sorted.
struct ConfState {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
  std::vector<NodeId> voters_outgoing;
  std::vector<NodeId> learners_next;
  bool auto_leave = false;

  friend bool operator==(const ConfState&, const ConfState&) = default;
};

struct SnapshotMetadata {
  ConfState conf_state;
  Index index = 0;
  Term term = 0;

  friend bool operator==(const SnapshotMetadata&, const SnapshotMetadata&) = default;
};

// index 0 means no snapshot.
struct Snapshot {
  SnapshotMetadata metadata;
  std::string data;

  bool empty() const { return metadata.index == 0; }
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

enum class ConfChangeType : uint8_t { kAddNode = 0, kRemoveNode = 1, kUpdateNode = 2, kAddLearnerNode = 3 };

// The data of an entry of type kConfChange. node_id 0 as the argument of ApplyConfChange means "change
// nothing".
struct ConfChange {
  uint64_t id = 0;  // Chosen by the proposer; raft does not look at it.
  ConfChangeType type = ConfChangeType::kAddNode;
  NodeId node_id = 0;
  std::string context;  // Opaque; etcd: JSON of the member.

  friend bool operator==(const ConfChange&, const ConfChange&) = default;
};

struct ConfChangeSingle {
  ConfChangeType type = ConfChangeType::kAddNode;
  NodeId node_id = 0;

  friend bool operator==(const ConfChangeSingle&, const ConfChangeSingle&) = default;
};

// kAuto: simple when one change suffices, else joint with automatic leave.
enum class ConfChangeTransition : uint8_t { kAuto = 0, kJointImplicit = 1, kJointExplicit = 2 };

// The data of an entry of type kConfChangeV2. Without changes (and with transition kAuto): leave the joint
// configuration.
struct ConfChangeV2 {
  ConfChangeTransition transition = ConfChangeTransition::kAuto;
  std::vector<ConfChangeSingle> changes;
  std::string context;

  friend bool operator==(const ConfChangeV2&, const ConfChangeV2&) = default;
};

// On the wire between members: 2 to 9 and 13 to 18. The others never leave the process and must be refused
// when they come from the network. 19 to 22 are spoken by nobody here: raw_node.h has PersistAck and ApplyAck
// in their place.
enum class MessageType : uint8_t {
  kHup = 0,
  kBeat = 1,
  kProp = 2,
  kApp = 3,
  kAppResp = 4,
  kVote = 5,
  kVoteResp = 6,
  kSnap = 7,
  kHeartbeat = 8,
  kHeartbeatResp = 9,
  kUnreachable = 10,
  kSnapStatus = 11,
  kCheckQuorum = 12,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResp = 16,
  kPreVote = 17,
  kPreVoteResp = 18,
  kStorageAppend = 19,
  kStorageAppendResp = 20,
  kStorageApply = 21,
  kStorageApplyResp = 22,
  kForgetLeader = 23,
};

struct Message {
  MessageType type = MessageType::kHup;
  NodeId to = kNone;
  NodeId from = kNone;
  Term term = 0;  // 0 in forwarded kProp and kReadIndex.
  Term log_term = 0;
  Index index = 0;
  std::vector<Entry> entries = {};
  Index commit = 0;
  NodeId vote =
      kNone;  // Only in messages to the local storage; 0 on the wire (raft 3.6 writes it, older ones don't).
  std::shared_ptr<const Snapshot> snapshot = nullptr;  // Set in kSnap.
  bool reject = false;
  Index reject_hint = 0;
  std::string context = {};  // "CampaignTransfer", or the id of a read-index round.
};

}  // namespace quorate::raft
