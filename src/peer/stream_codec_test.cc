#include "peer/stream_codec.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/endian.h"
#include "base/test_seed.h"
#include "peer/message_codec.h"
#include "peer/peer_test_messages.h"

namespace quorate::peer {
namespace {

using raft::MessageType;

constexpr uint64_t kLocal = 1;
constexpr uint64_t kRemote = 2;

// Appends as one leader sends them: mostly one after the other, sometimes from elsewhere or of another term.
std::vector<raft::Message> RandomAppends(std::mt19937_64& random) {
  std::vector<raft::Message> messages;
  raft::Term term = 1 + random() % 3;
  raft::Term log_term = term;
  raft::Index index = random() % 10;
  for (int i = 0; i < 60; ++i) {
    if (random() % 10 == 0) index = random() % 100;
    if (random() % 15 == 0) term += 1;
    raft::Message m{.type = MessageType::kApp,
                    .to = kLocal,
                    .from = kRemote,
                    .term = term,
                    .log_term = log_term,
                    .index = index};
    for (uint64_t n = random() % 4; n > 0; --n) {
      m.entries.push_back({.term = term, .index = ++index, .data = std::string(random() % 50, 'd')});
      log_term = term;
    }
    m.commit = random() % 100;
    messages.push_back(std::move(m));
  }
  return messages;
}

// Feeds the bytes in pieces of random size.
std::vector<raft::Message> Decode(StreamDecoder& decoder, std::string_view bytes, std::mt19937_64& random) {
  std::vector<raft::Message> messages;
  while (!bytes.empty()) {
    const size_t n = std::min<size_t>(bytes.size(), 1 + random() % 40);
    const Status status = decoder.Feed(bytes.substr(0, n), [&](raft::Message m) {
      messages.push_back(std::move(m));
      return true;
    });
    EXPECT_TRUE(status.ok()) << status;
    bytes.remove_prefix(n);
  }
  return messages;
}

TEST(StreamCodec, AppendsComeBackTheSameHoweverTheyAreSplit) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 50; ++round) {
    StreamEncoder encoder(StreamKind::kAppend);
    StreamDecoder decoder(StreamKind::kAppend, kLocal, kRemote);
    const std::vector<raft::Message> sent = RandomAppends(random);
    std::string bytes;
    for (const raft::Message& message : sent) {
      encoder.Append(bytes, message);
      if (random() % 3 == 0) encoder.AppendHeartbeat(bytes);
    }
    const std::vector<raft::Message> got = Decode(decoder, bytes, random);
    ASSERT_EQ(sent.size(), got.size());
    for (size_t i = 0; i < sent.size(); ++i) EXPECT_TRUE(Same(sent[i], got[i])) << i;
    EXPECT_TRUE(decoder.at_frame_end());
  }
}

TEST(StreamCodec, MessagesComeBackTheSameHoweverTheyAreSplit) {
  std::mt19937_64 random(TestSeed());
  StreamEncoder encoder(StreamKind::kMessage);
  StreamDecoder decoder(StreamKind::kMessage, kLocal, kRemote);
  std::vector<raft::Message> sent;
  std::string bytes;
  for (int i = 0; i < 500; ++i) {
    sent.push_back(RandomMessage(random));
    sent.back().from |= 1;  // No link heartbeat.
    encoder.Append(bytes, sent.back());
    if (random() % 3 == 0) encoder.AppendHeartbeat(bytes);
  }
  const std::vector<raft::Message> got = Decode(decoder, bytes, random);
  ASSERT_EQ(sent.size(), got.size());
  for (size_t i = 0; i < sent.size(); ++i) EXPECT_TRUE(Same(sent[i], got[i])) << i;
}

TEST(StreamCodec, AFollowingAppendIsShort) {
  StreamEncoder encoder(StreamKind::kAppend);
  raft::Message m{.type = MessageType::kApp, .to = 1, .from = 2, .term = 4, .log_term = 4, .index = 7};
  m.entries = {{.term = 4, .index = 8, .data = "x"}};
  std::string first;
  encoder.Append(first, m);
  EXPECT_EQ('\x02', first[0]);
  m.index = 8;
  m.entries.clear();
  m.commit = 8;
  std::string second;
  encoder.Append(second, m);
  EXPECT_EQ(std::string("\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08", 17), second);
}

Status FeedAll(StreamKind kind, const std::string& bytes) {
  StreamDecoder decoder(kind, kLocal, kRemote);
  return decoder.Feed(bytes, [](raft::Message) { return true; });
}

TEST(StreamCodec, ForgedLengthsAreRefusedAtOnce) {
  const auto big = [](uint64_t v) {
    std::string out;
    AppendBig64(out, v);
    return out;
  };
  for (const uint64_t length : {kFrameBytesMax + 1, uint64_t{1} << 62, UINT64_MAX}) {
    EXPECT_FALSE(FeedAll(StreamKind::kMessage, big(length)).ok());
    EXPECT_FALSE(FeedAll(StreamKind::kAppend, "\x02" + big(length)).ok());
    EXPECT_FALSE(FeedAll(StreamKind::kAppend, "\x01" + big(length)).ok());
    EXPECT_FALSE(FeedAll(StreamKind::kAppend, "\x01" + big(1) + big(length)).ok());
  }
  // Allowed as a length, and waited for without memory for it.
  EXPECT_TRUE(FeedAll(StreamKind::kMessage, big(kFrameBytesMax)).ok());
  EXPECT_TRUE(FeedAll(StreamKind::kAppend, "\x01" + big(kFrameEntriesMax)).ok());
  EXPECT_FALSE(FeedAll(StreamKind::kAppend, "\x01" + big(kFrameEntriesMax + 1)).ok());
  EXPECT_FALSE(FeedAll(StreamKind::kAppend, "\x03").ok());
}

TEST(StreamCodec, DamagedStreamsNeverCrash) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 300; ++round) {
    for (const StreamKind kind : {StreamKind::kAppend, StreamKind::kMessage}) {
      StreamEncoder encoder(kind);
      std::string bytes;
      for (const raft::Message& message : RandomAppends(random)) encoder.Append(bytes, message);
      for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      static_cast<void>(FeedAll(kind, bytes));
    }
  }
}

TEST(StreamCodec, TheSinkMayStopIt) {
  StreamEncoder encoder(StreamKind::kMessage);
  StreamDecoder decoder(StreamKind::kMessage, kLocal, kRemote);
  std::string bytes;
  for (int i = 0; i < 3; ++i) encoder.Append(bytes, {.type = MessageType::kHeartbeat, .from = 2});
  int calls = 0;
  EXPECT_TRUE(decoder.Feed(bytes, [&](raft::Message) { return ++calls < 2; }).ok());
  EXPECT_EQ(2, calls);
}

}  // namespace
}  // namespace quorate::peer
