// What the client reads on its command line and from interactive lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmd/quoratectl/hex_id.h"
#include "cmd/quoratectl/kv_requests.h"
#include "cmd/quoratectl/line_words.h"
#include "cmd/quoratectl/txn_lines.h"
#include "cmd/quoratectl/watch_arguments.h"

namespace quorate::cmd {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using testing::ElementsAre;
using testing::StartsWith;

TEST(LineWordsTest, QuotesAsEtcdReadsThem) {
  EXPECT_THAT(*SplitWords(R"(put 'a b' "c\td" e'f)"), ElementsAre("put", "a b", "c\td", "e'f"));
  EXPECT_THAT(*SplitWords("  "), ElementsAre());
  EXPECT_THAT(*SplitWords(R"(get "" '')"), ElementsAre("get", "", ""));
  // A quote that is never closed is left out.
  EXPECT_THAT(*SplitWords("get 'a b"), ElementsAre("get", "a", "b"));
  EXPECT_FALSE(SplitWords(R"(put "\q" v)").ok());
}

TEST(CompareTest, Targets) {
  const auto mod = ParseCompare(R"(mod("k\x00") > "5")");
  ASSERT_TRUE(mod.ok()) << mod.status();
  EXPECT_EQ(mod->key(), std::string("k\0", 2));
  EXPECT_EQ(mod->target(), Compare::MOD);
  EXPECT_EQ(mod->result(), Compare::GREATER);
  EXPECT_EQ(mod->mod_revision(), 5);
  EXPECT_EQ(ParseCompare(R"(ver("k") = "1")")->version(), 1);
  EXPECT_EQ(ParseCompare(R"(c("k") < "2")")->create_revision(), 2);
  EXPECT_EQ(ParseCompare(R"(val("k") != "x y")")->value(), "x y");
  EXPECT_EQ(ParseCompare(R"(lease("k") = "1f")")->lease(), 0x1f);
}

TEST(CompareTest, ErrorsAreEtcds) {
  const std::pair<const char*, const char*> cases[] = {
      {"foo", "malformed comparison: foo"},
      {R"(mod("a")>"0")", R"(malformed comparison: mod("a")>"0"; got mod("a")  "")"},
      {R"(mod("a") > "x")", R"(invalid txn compare request: mod("a") > "x")"},
      {R"(size("a") > "1")", R"(malformed comparison: size("a") > "1" (unknown target size))"},
      {R"(mod("a") >= "1")", R"(malformed comparison: mod("a") >= "1" (unknown operator >=)"},
  };
  for (const auto& [line, text] : cases) {
    EXPECT_THAT(std::string(Message(ParseCompare(line).status())), StartsWith(text)) << line;
  }
}

TEST(RequestTest, OneOfThreeWithItsFlags) {
  ExitCode code = ExitCode::kOk;
  const auto get = ParseRequest("get a --prefix --limit 3", &code);
  ASSERT_TRUE(get.ok()) << get.status();
  EXPECT_EQ(get->request_range().range_end(), "b");
  EXPECT_EQ(get->request_range().limit(), 3);
  EXPECT_EQ(ParseRequest("put k 'v w'", &code)->request_put().value(), "v w");
  EXPECT_EQ(ParseRequest("del a c", &code)->request_delete_range().range_end(), "c");
}

TEST(RequestTest, ErrorsAndHowTheProgramEnds) {
  const std::tuple<const char*, const char*, ExitCode> cases[] = {
      {"get", "invalid txn compare request: get", ExitCode::kInvalidInput},
      {"foo bar", "invalid txn request: foo bar", ExitCode::kInvalidInput},
      {"get a --foo", "invalid txn request: get a --foo", ExitCode::kInvalidInput},
      {"put a", "put command needs 1 argument and input from stdin or 2 arguments", ExitCode::kBadArguments},
      {"get a --order up", "bad sort order up", ExitCode::kBadFeature},
  };
  for (const auto& [line, text, expected] : cases) {
    ExitCode code = ExitCode::kOk;
    EXPECT_THAT(std::string(Message(ParseRequest(line, &code).status())), StartsWith(text)) << line;
    EXPECT_EQ(code, expected) << line;
  }
}

TEST(GetRequestTest, Ranges) {
  GetFlags flags;
  EXPECT_EQ(GetRequest(flags, {"a"})->range_end(), "");
  EXPECT_EQ(GetRequest(flags, {"a", "c"})->range_end(), "c");
  flags.prefix = true;
  EXPECT_EQ(GetRequest(flags, {"a"})->range_end(), "b");
  EXPECT_EQ(GetRequest(flags, {""})->key(), std::string(1, '\0'));
  EXPECT_EQ(GetRequest(flags, {"a", "c"}).status().code(), absl::StatusCode::kInvalidArgument);
  flags.from_key = true;
  EXPECT_EQ(GetRequest(flags, {"a"}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(GetRequestTest, Order) {
  GetFlags flags;
  flags.order = "ascend";
  EXPECT_EQ(GetRequest(flags, {"a"})->sort_order(), RangeRequest::NONE);  // As keys come anyway.
  flags.sort_by = "modify";
  EXPECT_EQ(GetRequest(flags, {"a"})->sort_order(), RangeRequest::ASCEND);
  EXPECT_EQ(GetRequest(flags, {"a"})->sort_target(), RangeRequest::MOD);
  flags.sort_by = "size";
  EXPECT_EQ(ExitCodeOf(GetRequest(flags, {"a"}).status()), ExitCode::kBadFeature);
}

TEST(GetRequestTest, RevisionBounds) {
  GetFlags flags;
  flags.min_mod_rev = 5;
  flags.max_mod_rev = 4;
  EXPECT_EQ(Message(GetRequest(flags, {"a"}).status()), "getMinModRev(=5) > getMaxModRev(=4)");
}

TEST(HexIdTest, AsStrconv) {
  EXPECT_EQ(*ParseMemberId("8e9e05c52164694d"), 0x8e9e05c52164694dULL);
  EXPECT_EQ(*ParseLeaseId("-1"), -1);
  EXPECT_EQ(Message(ParseMemberId("0x1").status()),
            R"(bad member ID arg (strconv.ParseUint: parsing "0x1": invalid syntax), expecting ID in Hex)");
  EXPECT_EQ(Message(ParseLeaseArgument("8000000000000000").status()),
            R"(bad lease ID arg (strconv.ParseInt: parsing "8000000000000000": value out of range), )"
            "expecting ID in Hex");
}

TEST(WatchArgumentsTest, KeysAndCommand) {
  const auto target = WatchTargetOf({{"a", "b", "echo", "x"}, 2}, {}, false);
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->key, "a");
  EXPECT_EQ(target->range_end, "b");
  EXPECT_THAT(target->exec, ElementsAre("echo", "x"));
  const auto from_environment = WatchTargetOf({{"echo"}, 0}, {"k", "l"}, false);
  EXPECT_EQ(from_environment->key, "k");
  EXPECT_EQ(from_environment->range_end, "l");
}

TEST(WatchArgumentsTest, Errors) {
  EXPECT_EQ(Message(WatchTargetOf({}, {}, false).status()), "bad number of arguments");
  EXPECT_EQ(Message(WatchTargetOf({{"a"}, 1}, {}, false).status()),
            "bad number of arguments (found separator --, but no commands)");
  EXPECT_EQ(Message(WatchTargetOf({{"a"}, {}}, {"k", ""}, false).status()),
            "bad number of arguments (found conflicting environment key)");
  EXPECT_EQ(Message(WatchTargetOf({{"a", "b"}, {}}, {}, true).status()),
            "`range_end` and `--prefix` are mutually exclusive");
}

}  // namespace
}  // namespace quorate::cmd
