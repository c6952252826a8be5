#include "cluster/v2_request.h"

#include <gtest/gtest.h>

#include <random>

#include "base/test_seed.h"
#include "base/wire.h"
#include "cluster/entry_table.h"
#include "cluster/version.h"

namespace quorate::cluster {
namespace {

TEST(VersionTest, Parse) {
  EXPECT_EQ(*ParseVersion("3.4.23"), (Version{3, 4, 23}));
  EXPECT_EQ(*ParseVersion("3.6.0-alpha.0+git"), kVersion36);
  for (const char* bad : {"", "3", "3.4", "3.4.", "3.4.x", "a.b.c", "3.4.5.6", "-1.0.0", "3.4.99999999999"}) {
    EXPECT_FALSE(ParseVersion(bad).ok()) << bad;
  }
  EXPECT_LT((Version{3, 4, 45}), kVersion35);
  EXPECT_EQ(VersionText({3, 4, 1}), "3.4.1");
  EXPECT_EQ(MinorText({3, 4, 1}), "3.4");
  EXPECT_EQ(ClusterVersion({3, 4, 45}), kVersion34);
}

TEST(VersionTest, ReportedIsTheNewestPatchOfTheClustersMinor) {
  EXPECT_EQ(VersionText(ReportedVersion(std::nullopt)), "3.4.45");
  EXPECT_EQ(VersionText(ReportedVersion(Version{3, 0, 0})), "3.4.45");
  EXPECT_EQ(VersionText(ReportedVersion(kVersion34)), "3.4.45");
  EXPECT_EQ(VersionText(ReportedVersion(kVersion35)), "3.5.33");
  EXPECT_EQ(VersionText(ReportedVersion(kVersion36)), "3.6.14");
  EXPECT_EQ(VersionText(ReportedVersion(kVersion37)), "3.7.1");
}

TEST(EntryTableTest, NamesAndFieldsAreUnique) {
  for (const EntryRule& rule : EntryTable()) {
    EXPECT_EQ(FindEntryRule(rule.name), &rule);
    if (rule.field != 0) {
      EXPECT_EQ(FindEntryRule(rule.field), &rule);
    }
  }
  EXPECT_EQ(FindEntryRule("nonsense"), nullptr);
  EXPECT_EQ(FindEntryRule(2u), nullptr) << "v2 has no rule: it is never written";
}

TEST(EntryTableTest, WhatMayBeWrittenAtWhichVersion) {
  struct Case {
    const char* name;
    bool at34, at35, at36, at37;
  };
  const Case cases[] = {
      {"put", true, true, true, true},
      {"auth_status", false, true, true, true},
      {"cluster_version_set", false, false, true, true},
      {"downgrade_info_set", false, true, true, true},
      {"auth_user_add.hashedPassword", false, true, true, true},
      {"meta/storageVersion", false, false, true, true},
      {"ConfChangeV2", false, false, false, false},
  };
  for (const Case& c : cases) {
    const EntryRule& rule = *FindEntryRule(c.name);
    EXPECT_EQ(MayWrite(rule, kVersion34), c.at34) << c.name;
    EXPECT_EQ(MayWrite(rule, std::nullopt), c.at34) << c.name;
    EXPECT_EQ(MayWrite(rule, kVersion35), c.at35) << c.name;
    EXPECT_EQ(MayWrite(rule, kVersion36), c.at36) << c.name;
    EXPECT_EQ(MayWrite(rule, kVersion37), c.at37) << c.name;
  }
}

TEST(V2RequestTest, AllScalarsAreWritten) {
  const std::string bytes = EncodeV2Request(SetClusterVersionRequest(1, kVersion34));
  const std::string expected(
      "\x08\x01\x12\x03PUT\x1a\x0a/0/version\x22\x05"
      "3.4.0\x28\0\x32\0\x38\0\x48\0\x50\0\x58\0\x60\0"
      "\x68\0\x70\0\x78\0\x80\x01\0",
      49);
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(*DecodeV2Request(bytes), SetClusterVersionRequest(1, kVersion34));
  V2Request full = PublishAttributesRequest(~0ull, 0xab, "{}");
  full.prev_exist = false;
  full.refresh = true;
  full.expiration = -5;
  full.dir = full.quorum = full.stream = true;
  EXPECT_EQ(*DecodeV2Request(EncodeV2Request(full)), full);
  EXPECT_EQ(full.path, "/0/members/ab/attributes");
}

TEST(V2RequestTest, ToldApartFromInternalRaftRequest) {
  EXPECT_TRUE(IsV2Request(EncodeV2Request(SetClusterVersionRequest(77, kVersion34))));
  EXPECT_TRUE(IsV2Request(EncodeV2Request(PublishAttributesRequest(0, 5, "{}"))));
  EXPECT_FALSE(IsV2Request(""));
  // put{key: "PUT"} with its header, and the old form with an ID.
  std::string put;
  wire::AppendBytesField(put, 4, std::string_view("\x0a\x03PUT"));
  EXPECT_FALSE(IsV2Request(put));
  EXPECT_FALSE(IsV2Request("\x08\x05" + put));
  // InternalRaftRequest.v2: a message stands there, not a method.
  std::string nested = "\x08\x05";
  wire::AppendBytesField(nested, 2, EncodeV2Request(SetClusterVersionRequest(7, kVersion34)));
  EXPECT_FALSE(IsV2Request(nested));
}

TEST(V2RequestTest, OnlyTheServersOwnAreAccepted) {
  struct Case {
    const char* method;
    const char* path;
    std::optional<V2Action> action;
  };
  const Case cases[] = {
      {"PUT", "/0/version", V2Action::kSetClusterVersion},
      {"PUT", "/0/members/ab12/attributes", V2Action::kSetAttributes},
      {"SYNC", "", V2Action::kIgnore},
      {"QGET", "/1/foo", V2Action::kIgnore},
      {"PUT", "/1/foo", std::nullopt},
      {"POST", "/1/queue", std::nullopt},
      {"DELETE", "/1/foo", std::nullopt},
      {"DELETE", "/0/version", std::nullopt},
      {"PUT", "/0/members/xyz/attributes", std::nullopt},
      {"PUT", "/0/members//attributes", std::nullopt},
      {"PUT", "/0/members/ab12/raftAttributes", std::nullopt},
      {"PUT", "/0/members/attributes", std::nullopt},
      {"", "", std::nullopt},
  };
  for (const Case& c : cases) {
    V2Request request;
    request.method = c.method;
    request.path = c.path;
    uint64_t id = 0;
    const auto action = ClassifyV2Request(request, &id);
    EXPECT_EQ(action.ok(), c.action.has_value()) << c.method << c.path;
    if (action.ok()) {
      EXPECT_EQ(*action, *c.action);
      EXPECT_EQ(id, *action == V2Action::kSetAttributes ? 0xab12u : 0u);
    } else {
      EXPECT_EQ(action.status().code(), absl::StatusCode::kFailedPrecondition);
    }
  }
  V2Request conditional = SetClusterVersionRequest(1, kVersion34);
  conditional.prev_index = 4;
  uint64_t id;
  EXPECT_FALSE(ClassifyV2Request(conditional, &id).ok());
}

TEST(V2RequestTest, RandomBytesNeverCrash) {
  const uint64_t seed = TestSeed(20);
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string good = EncodeV2Request(PublishAttributesRequest(5, 6, "{}"));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good.substr(0, random() % (good.size() + 1));
    for (uint64_t n = random() % 4; n > 0 && !bytes.empty(); --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)IsV2Request(bytes);
    if (const auto request = DecodeV2Request(bytes); request.ok()) {
      EXPECT_EQ(*DecodeV2Request(EncodeV2Request(*request)), *request);
    }
  }
}

}  // namespace
}  // namespace quorate::cluster
