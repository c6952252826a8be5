// The bytes that members of etcd 3.4.23 sent each other (peer-capture): all decode, and encoding gives them
// back.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "base/env_sim.h"
#include "cluster/member.h"
#include "peer/message_codec.h"
#include "peer/prober.h"
#include "peer/stream_codec.h"
#include "wal/golden_archive.h"

namespace quorate::peer {
namespace {

class PeerCapture : public testing::Test {
 protected:
  void SetUp() override {
    const auto directory = golden::Directory();
    if (!directory) GTEST_SKIP() << "no recorded data";
    SimFileSystem files(1);
    ASSERT_TRUE(
        golden::Load(*directory + "/peer-capture.tar.gz", &files, [](std::string_view) { return true; }));
    const std::vector<std::string> servers = files.List("/cap").value();
    for (const std::string& server : servers) {
      const std::vector<std::string> names = files.List("/cap/" + server).value();
      for (const std::string& name : names) {
        captured_[server + "/" + name] = files.ReadAll("/cap/" + server + "/" + name).value();
      }
    }
    ASSERT_FALSE(captured_.empty());
  }

  // The answer to the request in `name` (a .c2s).
  const std::string& Answer(std::string name) { return captured_[name.replace(name.size() - 3, 3, "s2c")]; }

  std::map<std::string, std::string> captured_;  // "to-c1/003.c2s"
};

std::string Header(std::string_view head, std::string_view name) {
  const size_t at = head.find(std::string("\r\n") + std::string(name) + ": ");
  if (at == std::string_view::npos) return "";
  const std::string_view rest = head.substr(at + name.size() + 4);
  return std::string(rest.substr(0, rest.find("\r\n")));
}

std::string_view Head(std::string_view bytes) { return bytes.substr(0, bytes.find("\r\n\r\n") + 4); }

// As much as the capture has.
std::string Unchunked(std::string_view body) {
  std::string out;
  for (;;) {
    const size_t end = body.find("\r\n");
    if (end == std::string_view::npos) return out;
    const size_t size = std::strtoull(std::string(body.substr(0, end)).c_str(), nullptr, 16);
    body.remove_prefix(end + 2);
    out.append(body.substr(0, size));
    if (size == 0 || body.size() < size + 2) return out;
    body.remove_prefix(size + 2);
  }
}

// Decodes byte by byte, so that each frame's end is seen, and encodes again. The number of messages.
int CheckStream(StreamKind kind, uint64_t local, uint64_t remote, std::string_view bytes) {
  StreamDecoder decoder(kind, local, remote);
  StreamEncoder encoder(kind);
  std::optional<raft::Message> message;
  int messages = 0;
  size_t start = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const Status status = decoder.Feed(bytes.substr(i, 1), [&](raft::Message m) {
      message = std::move(m);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status << " at " << i;
    if (!status.ok()) return messages;
    if (!decoder.at_frame_end()) continue;
    std::string again;
    if (message) {
      EXPECT_TRUE(CheckMessage(*message).ok()) << CheckMessage(*message);
      EXPECT_TRUE(MaySend(remote, *message));
      EXPECT_EQ(local, message->to);
      encoder.Append(again, *message);
      ++messages;
    } else {
      encoder.AppendHeartbeat(again);
    }
    EXPECT_EQ(bytes.substr(start, i + 1 - start), again) << "frame at " << start;
    message.reset();
    start = i + 1;
  }
  return messages;
}

TEST_F(PeerCapture, StreamsAreTheSameAfterDecodingAndEncoding) {
  int appends = 0;
  int others = 0;
  for (const auto& [name, request] : captured_) {
    if (!name.ends_with(".c2s") || !request.starts_with("GET /raft/stream/")) continue;
    const std::string& answer = Answer(name);
    if (!answer.starts_with("HTTP/1.1 200 ")) continue;
    SCOPED_TRACE(name);
    const bool append =
        request.starts_with(std::string("GET ") + std::string(StreamPath(StreamKind::kAppend)) + "/");
    const StreamKind kind = append ? StreamKind::kAppend : StreamKind::kMessage;
    const uint64_t local = cluster::ParseId(Header(request, "X-Server-From")).value();
    const uint64_t remote = cluster::ParseId(Header(request, "X-Raft-To")).value();
    const std::string bytes = Unchunked(std::string_view(answer).substr(Head(answer).size()));
    (append ? appends : others) += CheckStream(kind, local, remote, bytes);
  }
  EXPECT_GT(appends, 1000);
  EXPECT_GT(others, 1000);
}

TEST_F(PeerCapture, PostedMessagesAreTheSameAfterDecodingAndEncoding) {
  int messages = 0;
  for (const auto& [name, bytes] : captured_) {
    std::string_view rest = bytes;
    while (name.ends_with(".c2s") && rest.starts_with("POST /raft HTTP/1.1\r\n")) {
      const std::string_view head = Head(rest);
      const size_t size = std::strtoull(Header(head, "Content-Length").c_str(), nullptr, 10);
      const std::string_view body = rest.substr(head.size(), size);
      const auto message = DecodeMessage(body);
      ASSERT_TRUE(message.ok()) << name << message.status();
      EXPECT_TRUE(CheckMessage(*message).ok());
      EXPECT_TRUE(MaySend(cluster::ParseId(Header(head, "X-Server-From")).value(), *message));
      std::string again;
      AppendMessage(again, *message);
      EXPECT_EQ(body, again) << name;
      ++messages;
      rest.remove_prefix(head.size() + size);
    }
  }
  EXPECT_GE(messages, 5);
}

TEST_F(PeerCapture, TheSnapshotsMessageIsTheSameAfterDecodingAndEncoding) {
  int snapshots = 0;
  for (const auto& [name, bytes] : captured_) {
    const size_t at =
        name.ends_with(".c2s") ? bytes.find("POST /raft/snapshot HTTP/1.1\r\n") : std::string::npos;
    if (at == std::string::npos) continue;
    const std::string_view request = std::string_view(bytes).substr(at);
    const std::string body = Unchunked(request.substr(Head(request).size()));
    const uint64_t size = LoadBig64(body.data());
    ASSERT_LT(size, body.size());
    const std::string_view frame = std::string_view(body).substr(8, size);
    const auto message = DecodeMessage(frame);
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_TRUE(CheckMessage(*message).ok());
    EXPECT_EQ(raft::MessageType::kSnap, message->type);
    std::string again;
    AppendMessage(again, *message);
    EXPECT_EQ(frame, again);
    EXPECT_EQ(EncodedSize(*message), size);
    ++snapshots;
  }
  EXPECT_GE(snapshots, 1);
}

TEST_F(PeerCapture, ProbeAnswersParse) {
  int probes = 0;
  for (const auto& [name, request] : captured_) {
    if (!name.ends_with(".c2s") || !request.starts_with("GET /raft/probing HTTP/1.1\r\n")) continue;
    const std::string& answer = Answer(name);
    const size_t start = answer.find("{\"OK\"");
    if (start == std::string::npos) continue;
    const std::string text = answer.substr(start, answer.find('\n', start) + 1 - start);
    const auto nanos = ParseProbeAnswer(text);
    ASSERT_TRUE(nanos) << text;
    EXPECT_EQ(text, ProbeAnswer(*nanos));
    ++probes;
  }
  EXPECT_GT(probes, 10);
}

}  // namespace
}  // namespace quorate::peer
