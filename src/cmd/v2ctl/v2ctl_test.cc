#include "cmd/v2ctl/v2ctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cmd/v2ctl/endpoint.h"
#include "cmd/v2ctl/go_flags.h"
#include "cmd/v2ctl/help.h"
#include "cmd/v2ctl/members.h"
#include "cmd/v2ctl/settings.h"

namespace quorate::cmd::v2 {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Words = std::vector<std::string>;

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? std::string() : at->second;
  };
}

TEST(IsV2Test, ByVariableFlagOrCommand) {
  struct Case {
    Words args;
    const char* api;
    bool is_v2;
  };
  const Case cases[] = {
      {{"member", "list"}, "", false},
      {{"member", "list"}, "2", true},
      {{"cluster", "heal"}, "2", false},
      {{"--debug", "--endpoints", "http://a:1", "cluster", "health"}, "2", false},
      {{"cluster-health"}, "3", false},
      {{"cluster-health"}, "", true},
      {{"--endpoints", "https://127.0.0.1:2379", "--ca-file=/ca.pem", "--debug", "cluster-health"}, "", true},
      {{"--ca-file", "/ca.pem", "member", "list"}, "", true},
      {{"-cert-file=/c.pem", "member", "list"}, "", true},
      {{"--no-sync", "member", "list"}, "", true},
      {{"-C", "http://a:1", "member", "list"}, "", true},
      {{"--debug", "member", "list"}, "", false},
      {{"--debug", "cluster-health"}, "", true},
      // Keys and values that only look so.
      {{"get", "cluster-health"}, "", false},
      {{"--user", "cluster-health", "get", "a"}, "", false},
      {{"put", "a", "--ca-file"}, "", false},
      {{"--", "cluster-health"}, "", false},
      {{}, "", false},
      {{}, "2", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(IsV2(c.args, Variables({{"ETCDCTL_API", c.api}})), c.is_v2) << testing::PrintToString(c.args);
  }
}

TEST(GoFlagsTest, ReadsWhatGoReads) {
  Settings settings;
  const auto rest = settings.Flags().Parse(
      {"-debug", "--endpoints", "http://a:1", "-o=json", "--timeout=1m", "--no-sync=false", "member", "-x"});
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_THAT(*rest, ElementsAre("member", "-x"));
  EXPECT_TRUE(settings.debug);
  EXPECT_FALSE(settings.no_sync);
  EXPECT_EQ(settings.endpoints, "http://a:1");
  EXPECT_EQ(settings.output, "json");
  EXPECT_EQ(settings.timeout_nanos, 60'000'000'000);
  EXPECT_THAT(settings.Flags().Parse({"--", "--debug"}).value(), ElementsAre("--debug"));
}

TEST(GoFlagsTest, SaysWhatIsWrong) {
  const std::pair<Words, const char*> cases[] = {
      {{"--nosuch"}, "flag provided but not defined: -nosuch"},
      {{"--ca-fil", "x"}, "flag provided but not defined: -ca-fil; did you mean --ca-file?"},
      {{"--endpoints"}, "flag needs an argument: -endpoints"},
      {{"--timeout", "x"}, "invalid value \"x\" for flag -timeout: parse error"},
      {{"--debug=x"}, "invalid boolean value \"x\" for -debug: parse error"},
      {{"---debug"}, "bad flag syntax: ---debug"},
      {{"-=x"}, "bad flag syntax: -=x"},
  };
  for (const auto& [args, text] : cases) {
    Settings settings;
    const auto rest = settings.Flags().Parse(args);
    ASSERT_FALSE(rest.ok());
    EXPECT_EQ(Message(rest.status()), text);
  }
}

TEST(GoFlagsTest, FlagsMayStandBehindArguments) {
  EXPECT_THAT(FlagsFirst({"a", "b", "-f", "c"}), ElementsAre("-f", "c", "a", "b"));
  EXPECT_THAT(FlagsFirst({"a", "--", "-f"}), ElementsAre("a", "--", "-f"));
  EXPECT_THAT(FlagsFirst({"a", "-"}), ElementsAre("a", "-"));
  EXPECT_THAT(FlagsFirst({}), IsEmpty());
}

TEST(SettingsTest, FlagsGoBeforeVariables) {
  Settings settings;
  EXPECT_THAT(settings.GivenEndpoints(), ElementsAre("http://127.0.0.1:2379", "http://127.0.0.1:4001"));
  settings.peers = "http://p:1";
  settings.ca_file = "/flag";
  settings.TakeEnvironment(Variables({{"ETCDCTL_ENDPOINT", "http://e:1,http://e:2"},
                                      {"ETCDCTL_CA_FILE", "/variable"},
                                      {"ETCDCTL_CERT_FILE", "/cert"},
                                      {"ETCDCTL_INSECURE_DISCOVERY", "1"}}));
  EXPECT_THAT(settings.GivenEndpoints(), ElementsAre("http://e:1", "http://e:2"));
  EXPECT_EQ(settings.ca_file, "/flag");
  EXPECT_EQ(settings.cert_file, "/cert");
  EXPECT_TRUE(settings.insecure_discovery);
}

TEST(EndpointTest, IsKeptAsEtcdKeepsIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"http://a:1", "http://a:1"}, {"https://a:1/x", "https://a:1/x"}, {"a", "http://a"},
      {"//a:1", "http://a:1"},      {"localhost:1", "localhost:1"},     {"unix://sock:1", "unix://sock:1"}};
  for (const auto& [text, kept] : cases) EXPECT_EQ(NormalEndpoint(text).value(), kept);
  EXPECT_EQ(Message(NormalEndpoint("127.0.0.1:1").status()),
            "parse \"127.0.0.1:1\": first path segment in URL cannot contain colon");
  EXPECT_EQ(Message(NormalEndpoint(":1").status()), "parse \":1\": missing protocol scheme");
  EXPECT_EQ(UrlAt("http://a:1", "/v2/members"), "http://a:1/v2/members");
  EXPECT_EQ(UrlAt("http://a:1/x/", "/v2/members"), "http://a:1/x/v2/members");
}

TEST(ParseHealthTest, BothForms) {
  EXPECT_EQ(ParseHealth(R"({"health":"true"})"), true);
  EXPECT_EQ(ParseHealth(R"({"health":"true","reason":""})"), true);
  EXPECT_EQ(ParseHealth(R"({"Health":true})"), true);
  EXPECT_EQ(ParseHealth(R"({"health":"false"})"), false);
  EXPECT_EQ(ParseHealth("{}"), false);
  for (const char* bad : {"", "x", "[]", "404 page not found", R"({"health":1})", R"({"health":)"}) {
    EXPECT_EQ(ParseHealth(bad), std::nullopt) << bad;
  }
}

TEST(HelpTest, EveryCommandIsNamed) {
  const std::string text = ProgramHelp();
  for (const std::string& name : CommandNames())
    EXPECT_NE(text.find("\n   " + name), std::string::npos) << name;
  for (const std::string& name : MemberCommandNames()) EXPECT_NE(CommandHelp("member " + name), "");
  EXPECT_NE(CommandHelp("cluster-health"), "");
  EXPECT_EQ(CommandHelp("nosuch"), "");
  EXPECT_TRUE(IsCommandOfTheV2Store("ls"));
  EXPECT_FALSE(IsCommandOfTheV2Store("member"));
}

}  // namespace
}  // namespace quorate::cmd::v2
