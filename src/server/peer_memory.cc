#include "server/peer_memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

constexpr std::string_view kMagic = "QUORPMEM";
constexpr size_t kHeaderBytes = kMagic.size() + 8 + 8 + 4;
constexpr size_t kEntryBytes = 4 * 8;
constexpr size_t kCrcBytes = 4;
constexpr size_t kJsonBytesMax = 4096;
static_assert(kHeaderBytes + PeerMemory::kMembersMax * kEntryBytes + kCrcBytes <= PeerMemoryFile::kSlotBytes);

void AppendBig32(std::string& out, uint32_t value) {
  char bytes[sizeof value];
  StoreBig32(bytes, value);
  out.append(bytes, sizeof bytes);
}

// What the sender has stored, since the message left it.
std::optional<LogPosition> Shown(const raft::Message& m) {
  switch (m.type) {
    case raft::MessageType::kVote:
    case raft::MessageType::kApp:
    case raft::MessageType::kHeartbeat:
    case raft::MessageType::kSnap:
      return LogPosition{m.term, m.from, 0};
    case raft::MessageType::kVoteResp:
      return LogPosition{m.term, m.reject ? raft::kNone : m.to, 0};
    case raft::MessageType::kAppResp:
      return LogPosition{m.term, raft::kNone, m.reject ? 0 : m.index};
    default:
      return std::nullopt;
  }
}

}  // namespace

PeerMemory::Change PeerMemory::Note(const raft::Message& message) {
  const std::optional<LogPosition> shown = Shown(message);
  if (!shown || shown->term == 0 || message.from == raft::kNone) return Change::kNone;
  const auto found = members_.find(message.from);
  if (found == members_.end() && members_.size() >= kMembersMax) return Change::kNone;
  LogPosition& known = found == members_.end() ? members_[message.from] : found->second;
  if (shown->term < known.term) return Change::kNone;
  if (shown->term > known.term) {
    known = *shown;
    return known.vote != raft::kNone ? Change::kVote : Change::kPosition;
  }
  Change change = Change::kNone;
  if (shown->index > known.index) {
    known.index = shown->index;
    change = Change::kPosition;
  }
  if (known.vote == raft::kNone && shown->vote != raft::kNone) {
    known.vote = shown->vote;
    change = Change::kVote;
  }
  return change;
}

bool PeerMemory::IsSecondVote(const raft::Message& message) const {
  const bool vote = message.type == raft::MessageType::kVote ||
                    (message.type == raft::MessageType::kVoteResp && !message.reject);
  if (!vote) return false;
  const LogPosition known = Of(message.from);
  const raft::NodeId candidate = message.type == raft::MessageType::kVote ? message.from : message.to;
  return known.term == message.term && known.vote != raft::kNone && known.vote != candidate;
}

LogPosition PeerMemory::Of(uint64_t member) const {
  const auto found = members_.find(member);
  return found == members_.end() ? LogPosition{} : found->second;
}

void PeerMemory::Retain(const std::vector<uint64_t>& members) {
  std::erase_if(members_, [&](const auto& entry) {
    return std::find(members.begin(), members.end(), entry.first) == members.end();
  });
}

std::string EncodePeerMemory(const PeerMemory& memory, uint64_t sequence, uint64_t cluster_id) {
  std::string out(kMagic);
  AppendBig64(out, sequence);
  AppendBig64(out, cluster_id);
  AppendBig32(out, static_cast<uint32_t>(memory.all().size()));
  for (const auto& [id, position] : memory.all()) {
    for (const uint64_t value : {id, position.term, position.vote, position.index}) AppendBig64(out, value);
  }
  AppendBig32(out, crc32c::Value(out));
  return out;
}

StatusOr<DecodedPeerMemory> DecodePeerMemory(std::string_view slot) {
  if (slot.size() < kHeaderBytes + kCrcBytes || !slot.starts_with(kMagic))
    return DataLoss("no memory of peers");
  const char* at = slot.data() + kMagic.size();
  const uint64_t sequence = LoadBig64(at);
  const uint64_t cluster_id = LoadBig64(at + 8);
  const uint32_t count = LoadBig32(at + 16);
  const size_t body = kHeaderBytes + size_t{count} * kEntryBytes;
  if (count > PeerMemory::kMembersMax || slot.size() < body + kCrcBytes ||
      LoadBig32(slot.data() + body) != crc32c::Value(slot.substr(0, body))) {
    return DataLoss("the memory of peers is damaged");
  }
  DecodedPeerMemory decoded{{}, sequence, cluster_id};
  for (at = slot.data() + kHeaderBytes; at < slot.data() + body; at += kEntryBytes) {
    decoded.memory.Set(LoadBig64(at), {LoadBig64(at + 8), LoadBig64(at + 16), LoadBig64(at + 24)});
  }
  return decoded;
}

std::string MemoryJson(uint64_t cluster_id, uint64_t member_id, const LogPosition& position) {
  nlohmann::json json = {{"cluster", cluster::IdText(cluster_id)},
                         {"member", cluster::IdText(member_id)},
                         {"term", position.term},
                         {"vote", cluster::IdText(position.vote)},
                         {"index", position.index}};
  return json.dump();
}

StatusOr<LogPosition> ParseMemoryJson(std::string_view json, uint64_t cluster_id, uint64_t member_id) {
  const Status malformed = InvalidArgument("no memory of a member");
  if (json.size() > kJsonBytesMax) return malformed;
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object()) return malformed;
  const auto id = [&](const char* key) -> StatusOr<uint64_t> {
    const auto field = parsed.find(key);
    if (field == parsed.end() || !field->is_string()) return malformed;
    return cluster::ParseId(field->get_ref<const std::string&>());
  };
  const auto number = [&](const char* key) -> StatusOr<uint64_t> {
    const auto field = parsed.find(key);
    if (field == parsed.end() || !field->is_number_unsigned()) return malformed;
    return field->get<uint64_t>();
  };
  QUORATE_ASSIGN_OR_RETURN(const uint64_t of_cluster, id("cluster"));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t of_member, id("member"));
  if (of_cluster != cluster_id || of_member != member_id) {
    return InvalidArgument("a memory of another member or cluster");
  }
  LogPosition position;
  QUORATE_ASSIGN_OR_RETURN(position.term, number("term"));
  QUORATE_ASSIGN_OR_RETURN(position.vote, id("vote"));
  QUORATE_ASSIGN_OR_RETURN(position.index, number("index"));
  return position;
}

PeerMemoryFile::PeerMemoryFile(FileSystem* files, std::string path, uint64_t cluster_id)
    : files_(files), path_(std::move(path)), cluster_id_(cluster_id) {}

PeerMemory PeerMemoryFile::Load() {
  std::string slot(kSlotBytes, '\0');
  const auto file = files_->Open(path_, {});
  if (absl::IsNotFound(file.status())) return {};
  PeerMemory newest;
  bool found = false;
  for (const uint64_t offset : {uint64_t{0}, kSlotBytes}) {
    const auto size = file.ok() ? (*file)->ReadAt(offset, slot.data(), slot.size()) : file.status();
    if (!size.ok()) continue;
    auto decoded = DecodePeerMemory(std::string_view(slot).substr(0, *size));
    if (!decoded.ok() || decoded->cluster_id != cluster_id_ || decoded->sequence < sequence_) continue;
    found = true;
    sequence_ = decoded->sequence;
    // The other slot is the next to be written.
    written_ = offset == 0 ? 1 : 0;
    newest = std::move(decoded->memory);
  }
  if (!found) {
    LOG_WARN("ignored an unreadable memory of other members", {"path", path_},
             {"error", file.ok() ? "no good copy in it" : Message(file.status())});
  }
  return newest;
}

std::string PeerMemoryFile::NextImage(const PeerMemory& memory) {
  return EncodePeerMemory(memory, ++sequence_, cluster_id_);
}

Status PeerMemoryFile::OpenFile() {
  const std::string directory = path_.substr(0, path_.rfind('/'));
  QUORATE_RETURN_IF_ERROR(MakeOwnDirectory(files_, directory));
  QUORATE_ASSIGN_OR_RETURN(file_, files_->Open(path_, {.write = true, .create = true}));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  // Later writes need no room, so that a full disk can't fail them.
  if (size < 2 * kSlotBytes) QUORATE_RETURN_IF_ERROR(file_->Allocate(2 * kSlotBytes));
  return files_->SyncDirectory(directory);
}

Status PeerMemoryFile::Write(const std::string& image) {
  if (file_ == nullptr) QUORATE_RETURN_IF_ERROR(OpenFile());
  QUORATE_RETURN_IF_ERROR(file_->WriteAt(written_ % 2 * kSlotBytes, image));
  ++written_;
  return file_->Sync();
}

}  // namespace quorate::server
