#include "peer/message_codec.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/test_seed.h"
#include "peer/peer_test_messages.h"

namespace quorate::peer {
namespace {

using raft::MessageType;

TEST(MessageCodec, WritesWhatEtcd34Writes) {
  std::string out;
  AppendMessage(out, {.type = MessageType::kHeartbeat});
  // formats.md 8.3: the link heartbeat of etcd 3.4.
  EXPECT_EQ(
      std::string(
          "\x08\x08\x10\x00\x18\x00\x20\x00\x28\x00\x30\x00\x40\x00\x4a\x0a\x12\x08\x0a\x02\x28\x00\x10\x00"
          "\x18\x00\x50\x00\x58\x00",
          30),
      out);
}

TEST(MessageCodec, RandomMessagesComeBackTheSame) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 2000; ++i) {
    const raft::Message message = RandomMessage(random);
    std::string out = "x";
    AppendMessage(out, message);
    ASSERT_EQ(1 + EncodedSize(message), out.size());
    const auto decoded = DecodeMessage(std::string_view(out).substr(1));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(Same(message, *decoded));
  }
}

TEST(MessageCodec, DamagedBytesAreRefusedOrAnotherMessage) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 300; ++i) {
    std::string bytes;
    AppendMessage(bytes, RandomMessage(random));
    for (size_t n = 0; n < bytes.size(); ++n) static_cast<void>(DecodeMessage(bytes.substr(0, n)));
    for (int j = 0; j < 50; ++j) {
      std::string damaged = bytes;
      damaged[random() % damaged.size()] = static_cast<char>(random());
      const auto decoded = DecodeMessage(damaged);
      if (!decoded.ok()) continue;
      std::string again;
      AppendMessage(again, *decoded);
      EXPECT_EQ(again.size(), EncodedSize(*decoded));
    }
  }
}

TEST(MessageCodec, ReadsWhatNewerVersionsWrite) {
  // Without the fields that are zero (3.7), with vote (3.6), and with fields nobody knows yet.
  const std::string bytes("\x08\x03\x10\x05\x68\x00\xa0\x06\x07", 9);
  const auto message = DecodeMessage(bytes);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(MessageType::kApp, message->type);
  EXPECT_EQ(5u, message->to);
  EXPECT_EQ(nullptr, message->snapshot);
}

TEST(MessageCodec, RefusesUnknownTypesAndWrongFields) {
  EXPECT_FALSE(DecodeMessage(std::string("\x08\x18", 2)).ok());  // Type 24.
  EXPECT_FALSE(DecodeMessage(std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)).ok());
  EXPECT_FALSE(DecodeMessage(std::string("\x12\x01x", 3)).ok());         // To as bytes.
  EXPECT_FALSE(DecodeMessage(std::string("\x3a\x02\x08\x03", 4)).ok());  // An entry of type 3.
  EXPECT_FALSE(DecodeMessage(std::string("\x38\x01", 2)).ok());          // Entries as a number.
  EXPECT_FALSE(DecodeMessage(std::string("\x4a\xff\xff\xff\xff\x0f", 6)).ok());
}

TEST(CheckMessage, LetsThroughOnlyWhatTravels) {
  for (int number = 0; number <= 23; ++number) {
    raft::Message message{.type = static_cast<MessageType>(number), .to = 1, .from = 2, .term = 3};
    if (message.type == MessageType::kSnap) message.snapshot = MakeSnapshot(5, 3);
    const bool travels = (number >= 2 && number <= 9) || (number >= 13 && number <= 18);
    EXPECT_EQ(travels, CheckMessage(message).ok()) << number;
  }
}

TEST(CheckMessage, EntriesMustFollowEachOther) {
  const raft::Message good{.type = MessageType::kApp,
                           .term = 5,
                           .log_term = 3,
                           .index = 10,
                           .entries = {{.term = 3, .index = 11}, {.term = 5, .index = 12}}};
  EXPECT_TRUE(CheckMessage(good).ok());
  const auto broken = [&](auto change) {
    raft::Message message = good;
    change(message);
    return CheckMessage(message);
  };
  EXPECT_FALSE(broken([](auto& m) { m.entries[0].index = 12; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.entries[1].index = 14; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.entries[0].term = 2; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.entries[1].term = 6; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.entries[0].term = 5, m.entries[1].term = 4; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.log_term = 6; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.index = UINT64_MAX - 1; }).ok());
  EXPECT_FALSE(broken([](auto& m) { m.snapshot = MakeSnapshot(5, 3); }).ok());
  EXPECT_FALSE(CheckMessage({.type = MessageType::kSnap, .term = 5}).ok());
}

TEST(MaySend, OnlyInOnesOwnNameExceptToTheLeader) {
  EXPECT_TRUE(MaySend(7, {.type = MessageType::kApp, .from = 7}));
  EXPECT_FALSE(MaySend(7, {.type = MessageType::kApp, .from = 8}));
  EXPECT_FALSE(MaySend(7, {.type = MessageType::kVoteResp, .from = 8}));
  for (const MessageType type : {MessageType::kProp, MessageType::kReadIndex, MessageType::kTransferLeader}) {
    EXPECT_TRUE(MaySend(7, {.type = type, .from = 8}));
  }
}

}  // namespace
}  // namespace quorate::peer
