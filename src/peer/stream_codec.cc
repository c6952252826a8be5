#include "peer/stream_codec.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/endian.h"
#include "peer/message_codec.h"
#include "raft/confchange_codec.h"
#include "wal/codec.h"

namespace quorate::peer {
namespace {

constexpr char kHeartbeatFrame = 0;
constexpr char kFollowingFrame = 1;
constexpr char kFullFrame = 2;

// Memory that a decoder keeps between frames.
constexpr size_t kHeldBytesKept = 1024 * 1024;

}  // namespace

std::string_view StreamName(StreamKind kind) {
  return kind == StreamKind::kAppend ? "stream MsgApp v2" : "stream Message";
}

std::string_view StreamPath(StreamKind kind) {
  return kind == StreamKind::kAppend ? "/raft/stream/msgapp" : "/raft/stream/message";
}

bool IsLinkHeartbeat(const raft::Message& message) {
  return message.type == raft::MessageType::kHeartbeat && message.from == 0 && message.to == 0;
}

void StreamEncoder::Append(std::string& out, const raft::Message& m) {
  if (kind_ == StreamKind::kMessage) {
    AppendBig64(out, EncodedSize(m));
    AppendMessage(out, m);
    return;
  }
  QUORATE_CHECK(m.type == raft::MessageType::kApp);
  if (m.index == index_ && m.log_term == term_ && m.log_term == m.term) {
    out.push_back(kFollowingFrame);
    AppendBig64(out, m.entries.size());
    for (const raft::Entry& entry : m.entries) {
      AppendBig64(out, raft::EncodedSize(entry));
      wal::AppendEntry(out, entry);
    }
    AppendBig64(out, m.commit);
    index_ += m.entries.size();
    return;
  }
  out.push_back(kFullFrame);
  AppendBig64(out, EncodedSize(m));
  AppendMessage(out, m);
  term_ = m.term;
  index_ = m.entries.empty() ? m.index : m.entries.back().index;
}

void StreamEncoder::AppendHeartbeat(std::string& out) const {
  if (kind_ == StreamKind::kAppend) {
    out.push_back(kHeartbeatFrame);
    return;
  }
  const raft::Message heartbeat{.type = raft::MessageType::kHeartbeat};
  AppendBig64(out, EncodedSize(heartbeat));
  AppendMessage(out, heartbeat);
}

StreamDecoder::StreamDecoder(StreamKind kind, uint64_t local, uint64_t remote)
    : kind_(kind), local_(local), remote_(remote), part_(FirstPart()) {}

bool StreamDecoder::at_frame_end() const { return held_.empty() && part_ == FirstPart(); }

uint64_t StreamDecoder::PartBytes() const {
  switch (part_) {
    case Part::kType:
      return 1;
    case Part::kEntry:
    case Part::kMessage:
      return length_;
    case Part::kCount:
    case Part::kEntryLength:
    case Part::kCommit:
    case Part::kLength:
      return 8;
  }
  return 8;
}

Status StreamDecoder::Feed(std::string_view bytes, const Sink& sink) {
  // Parts that lie whole in `bytes` are taken from there; what is left of one is held until the rest comes.
  for (;;) {
    const uint64_t wanted = PartBytes();
    std::string_view part;
    if (held_.empty() && bytes.size() >= wanted) {
      part = bytes.substr(0, wanted);
      bytes.remove_prefix(wanted);
      QUORATE_RETURN_IF_ERROR(TakePart(part));
    } else {
      const size_t taken =
          std::min<uint64_t>(bytes.size(), wanted - std::min<uint64_t>(wanted, held_.size()));
      held_.Append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (held_.size() < wanted) return absl::OkStatus();
      QUORATE_RETURN_IF_ERROR(TakePart(held_.view()));
      held_.Recycle(kHeldBytesKept);
    }
    if (!std::exchange(complete_, false)) continue;
    raft::Message message = std::exchange(message_, {});
    if (!IsLinkHeartbeat(message) && !sink(std::move(message))) return absl::OkStatus();
  }
}

Status StreamDecoder::TakePart(std::string_view bytes) {
  switch (part_) {
    case Part::kType:
      return TakeType(static_cast<uint8_t>(bytes[0]));
    case Part::kCount:
      entries_left_ = LoadBig64(bytes.data());
      if (entries_left_ > kFrameEntriesMax) {
        return InvalidArgument("a frame with " + std::to_string(entries_left_) + " entries");
      }
      part_ = entries_left_ == 0 ? Part::kCommit : Part::kEntryLength;
      return absl::OkStatus();
    case Part::kEntryLength:
      frame_bytes_ += std::min(LoadBig64(bytes.data()), kFrameBytesMax + 1);
      if (frame_bytes_ > kFrameBytesMax) return InvalidArgument("a frame of more than 512 MiB");
      return Expect(LoadBig64(bytes.data()), Part::kEntry);
    case Part::kEntry:
      return TakeEntry(bytes);
    case Part::kCommit:
      message_.commit = LoadBig64(bytes.data());
      complete_ = true;
      part_ = Part::kType;
      return absl::OkStatus();
    case Part::kLength:
      return Expect(LoadBig64(bytes.data()), Part::kMessage);
    case Part::kMessage:
      return TakeMessage(bytes);
  }
  return absl::OkStatus();
}

Status StreamDecoder::Expect(uint64_t length, Part part) {
  if (length > kFrameBytesMax) {
    return InvalidArgument("a frame of " + std::to_string(length) + " bytes; at most 512 MiB are allowed");
  }
  length_ = length;
  part_ = part;
  return absl::OkStatus();
}

Status StreamDecoder::TakeType(uint8_t type) {
  switch (type) {
    case kHeartbeatFrame:
      return absl::OkStatus();
    case kFollowingFrame:
      message_ = {.type = raft::MessageType::kApp,
                  .to = local_,
                  .from = remote_,
                  .term = term_,
                  .log_term = term_,
                  .index = index_};
      frame_bytes_ = 0;
      part_ = Part::kCount;
      return absl::OkStatus();
    case kFullFrame:
      part_ = Part::kLength;
      return absl::OkStatus();
    default:
      return InvalidArgument("failed to parse type " + std::to_string(type) + " in msgappv2 stream");
  }
}

Status StreamDecoder::TakeEntry(std::string_view bytes) {
  StatusOr<raft::Entry> entry = wal::DecodeEntry(bytes);
  if (!entry.ok()) return InvalidArgument("malformed entry in msgappv2 stream");
  message_.entries.push_back(*std::move(entry));
  if (index_ == std::numeric_limits<raft::Index>::max()) {
    return InvalidArgument("entries beyond the last possible index");
  }
  ++index_;
  part_ = --entries_left_ == 0 ? Part::kCommit : Part::kEntryLength;
  return absl::OkStatus();
}

Status StreamDecoder::TakeMessage(std::string_view bytes) {
  QUORATE_ASSIGN_OR_RETURN(message_, DecodeMessage(bytes));
  complete_ = true;
  part_ = FirstPart();
  if (kind_ == StreamKind::kMessage) return absl::OkStatus();
  term_ = message_.term;
  index_ = message_.entries.empty() ? message_.index : message_.entries.back().index;
  return absl::OkStatus();
}

}  // namespace quorate::peer
