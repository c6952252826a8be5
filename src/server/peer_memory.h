// What this member remembers of every other: the highest term it has seen that one in, its vote there, and
// the highest index that it acknowledged there. A member whose disk was set back asks the others for it.
//
// Only what the other has stored counts: answers and votes leave a member after they are durable, and a
// leader has stored its vote for itself. Answers to heartbeats and pre-votes may leave before, and say
// nothing.
//
// Owner: the core's thread, except for PeerMemoryFile::Write.
//
// The file has two slots of kSlotBytes, written in turn, so that a torn write leaves the other. A slot:
// "QUORPMEM", then big-endian u64 sequence, u64 cluster id, u32 count, count times {u64 member, u64 term,
// u64 vote, u64 index}, u32 CRC-32C of all before. A file without a good slot counts as no memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/types.h"
#include "server/lost_log.h"

namespace quorate::server {

class PeerMemory {
 public:
  // More members than any cluster has; further ones are not remembered.
  static constexpr size_t kMembersMax = 256;

  enum class Change { kNone, kPosition, kVote };

  // What a message shows of its sender.
  Change Note(const raft::Message& message);
  // Whether a granted vote, or a request for votes, is of a member that voted for another in that term: its
  // own memory was lost, and this vote must not count.
  bool IsSecondVote(const raft::Message& message) const;
  // All zero: nothing is remembered.
  LogPosition Of(uint64_t member) const;
  // Forgets all others.
  void Retain(const std::vector<uint64_t>& members);

  const std::map<uint64_t, LogPosition>& all() const { return members_; }
  void Set(uint64_t member, const LogPosition& position) { members_[member] = position; }

  friend bool operator==(const PeerMemory&, const PeerMemory&) = default;

 private:
  std::map<uint64_t, LogPosition> members_;
};

std::string EncodePeerMemory(const PeerMemory& memory, uint64_t sequence, uint64_t cluster_id);
// DataLoss for anything but what Encode makes; other bytes may follow it.
struct DecodedPeerMemory {
  PeerMemory memory;
  uint64_t sequence = 0;
  uint64_t cluster_id = 0;
};
StatusOr<DecodedPeerMemory> DecodePeerMemory(std::string_view slot);

// The answer to another member's question, and back. InvalidArgument for what is no such answer, or one of
// another cluster or member.
std::string MemoryJson(uint64_t cluster_id, uint64_t member_id, const LogPosition& position);
StatusOr<LogPosition> ParseMemoryJson(std::string_view json, uint64_t cluster_id, uint64_t member_id);

class PeerMemoryFile {
 public:
  static constexpr uint64_t kSlotBytes = 16 * 1024;

  PeerMemoryFile(FileSystem* files, std::string path, uint64_t cluster_id);

  // What was remembered last; nothing, with a warning, where the file is missing or can't be read.
  PeerMemory Load();
  // Makes the next image; to be written by Write, images in order, one at a time.
  std::string NextImage(const PeerMemory& memory);
  // Writes and syncs. On any thread.
  Status Write(const std::string& image);
  // Before, Write failed for want of the file; afterwards its errors mean that the disk can't be believed.
  bool opened() const { return file_ != nullptr; }

 private:
  Status OpenFile();

  FileSystem* const files_;
  const std::string path_;
  const uint64_t cluster_id_;
  uint64_t sequence_ = 0;
  uint64_t written_ = 0;  // Counts writes; its parity chooses the slot.
  std::unique_ptr<File> file_;
};

}  // namespace quorate::server
