// The frames of the two stream types. Source: etcdserver/api/rafthttp/message_codec.go, msgappv2_codec.go.
//   message:  u64 BE length | Message. Link heartbeat: a Message of type 8 from 0 to 0.
//   msgapp:   00                                                               link heartbeat
//             01 | u64 BE count | count * (u64 BE length | Entry) | u64 BE commit   follows on the last
//             append 02 | u64 BE length | Message                                     an append in full
// Type 01 leaves out what both ends know from the frame before: term and index. Both must see the same
// frames, so an encoder and a decoder serve one connection. Decoders are fed as bytes come; they hold at most
// one frame, in memory that grows only with the bytes that came.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/byte_queue.h"
#include "raft/types.h"

namespace quorate::peer {

enum class StreamKind : uint8_t { kAppend, kMessage };
// "stream MsgApp v2", "stream Message": as logs name them.
std::string_view StreamName(StreamKind kind);
// "/raft/stream/msgapp", "/raft/stream/message".
std::string_view StreamPath(StreamKind kind);

// Of one frame, as etcd has it.
constexpr uint64_t kFrameBytesMax = 512 * 1024 * 1024;
// Of one type 01 frame: more than fit into etcd's 1 MiB of entries a message.
constexpr uint64_t kFrameEntriesMax = 1024 * 1024;

// Whether it only says that the connection lives.
bool IsLinkHeartbeat(const raft::Message& message);

class StreamEncoder {
 public:
  explicit StreamEncoder(StreamKind kind) : kind_(kind) {}
  // Only kApp on kAppend.
  void Append(std::string& out, const raft::Message& message);
  void AppendHeartbeat(std::string& out) const;

 private:
  const StreamKind kind_;
  raft::Term term_ = 0;  // Of the last append in full, and where it and those after it end.
  raft::Index index_ = 0;
};

class StreamDecoder {
 public:
  // False: stop, the decoder is not used any more.
  using Sink = std::function<bool(raft::Message message)>;

  // Messages of type 01 frames are from `remote` to `local`.
  StreamDecoder(StreamKind kind, uint64_t local, uint64_t remote);

  // Hands out the messages completed by these bytes, without link heartbeats. After an error the connection
  // is useless.
  Status Feed(std::string_view bytes, const Sink& sink);
  // Nothing of an unfinished frame is held: the stream may end here.
  bool at_frame_end() const;

 private:
  enum class Part : uint8_t { kType, kCount, kEntryLength, kEntry, kCommit, kLength, kMessage };

  Part FirstPart() const { return kind_ == StreamKind::kAppend ? Part::kType : Part::kLength; }
  // Bytes that the part under way has.
  uint64_t PartBytes() const;
  Status TakePart(std::string_view bytes);
  Status TakeType(uint8_t type);
  Status TakeEntry(std::string_view bytes);
  Status TakeMessage(std::string_view bytes);
  Status Expect(uint64_t length, Part part);

  const StreamKind kind_;
  const uint64_t local_;
  const uint64_t remote_;
  net::ByteQueue held_;
  Part part_;
  uint64_t length_ = 0;        // Of kEntry or kMessage.
  uint64_t entries_left_ = 0;  // Of a type 01 frame.
  uint64_t frame_bytes_ = 0;   // Of the entries of a type 01 frame so far.
  raft::Term term_ = 0;
  raft::Index index_ = 0;
  raft::Message message_;
  bool complete_ = false;  // message_ is whole.
};

}  // namespace quorate::peer
