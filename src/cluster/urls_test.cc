#include "cluster/urls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quorate::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string Text(const Status& status) { return std::string(Message(status)); }

TEST(UrlsTest, GoodOnes) {
  for (const char* good :
       {"http://127.0.0.1:2379", "https://[::1]:2379", "unix://localhost:1234", "unixs://a:0",
        "http://a:", "http://%C3%A9:1", "http://a%25b:1", "http://[fe80::1%25eth0]:1",
        "http://[fe80::1%25a%20b]:1", "http://u:p%20w@a:1", "http://a:1#b%20c"}) {
    EXPECT_EQ(*ParseUrl(good), good);
  }
  EXPECT_EQ(*ParseUrl(" HTTP://Host:1 "), "http://Host:1");
  EXPECT_THAT(*ParseUrlList("http://b:1,http://a:1"), ElementsAre("http://a:1", "http://b:1"));
}

TEST(UrlsTest, BadOnesWithEtcdsTexts) {
  struct Case {
    const char* url;
    const char* error;
  };
  const Case cases[] = {
      {"", "URL scheme must be http, https, unix, or unixs: "},
      {"ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"},
      {"localhost:2380", "URL scheme must be http, https, unix, or unixs: localhost:2380"},
      {"127.0.0.1:2380", "parse \"127.0.0.1:2380\": first path segment in URL cannot contain colon"},
      {":2380", "parse \":2380\": missing protocol scheme"},
      {"http://localhost", "URL address does not have the form \"host:port\": http://localhost"},
      {"http:localhost:1", "URL address does not have the form \"host:port\": http:localhost:1"},
      {"http://::1:2380", "URL address does not have the form \"host:port\": http://::1:2380"},
      {"http://a:1/x", "URL must not contain a path: http://a:1/x"},
      {"http://a:1/", "URL must not contain a path: http://a:1/"},
      {"http://a:b", "parse \"http://a:b\": invalid port \":b\" after host"},
      {"http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name"},
      {"http://a%20b:1", "parse \"http://a%20b:1\": invalid URL escape \"%20\""},
      {"http://a%zz:1", "parse \"http://a%zz:1\": invalid URL escape \"%zz\""},
      {"http://%4", "parse \"http://%4\": invalid URL escape \"%4\""},
      {"http://[::1:1", "parse \"http://[::1:1\": missing ']' in host"},
      {"http://[fe80::1%eth0]:1", "parse \"http://[fe80::1%eth0]:1\": invalid URL escape \"%et\""},
      {"http://[fe80::1%25a%2fb]:1", "parse \"http://[fe80::1%25a%2fb]:1\": invalid URL escape \"%2f\""},
      {"http://[[::1]]:1", "URL address does not have the form \"host:port\": http://[[::1]]:1"},
      {"http://u%zz@a:1", "parse \"http://u%zz@a:1\": invalid URL escape \"%zz\""},
      {"http://u[@a:1", "parse \"http://u[@a:1\": net/url: invalid userinfo"},
      {"http://a:1#%zz", "parse \"http://a:1#%zz\": invalid URL escape \"%zz\""},
      {"http://a\x01:1", "parse \"http://a\x01:1\": net/url: invalid control character in URL"},
  };
  for (const Case& c : cases) EXPECT_EQ(Text(ParseUrl(c.url).status()), c.error) << c.url;
  EXPECT_EQ(Text(ParseUrls({}).status()), "no valid URLs given");
}

TEST(InitialClusterTest, NamesCollectTheirUrls) {
  const auto cluster = *ParseInitialCluster("a=http://x:1,,b=http://z:3,a=http://b:2");
  EXPECT_THAT(cluster, ElementsAre(Pair("a", ElementsAre("http://b:2", "http://x:1")),
                                   Pair("b", ElementsAre("http://z:3"))));
  EXPECT_EQ(InitialClusterText(cluster), "a=http://b:2,a=http://x:1,b=http://z:3");
  EXPECT_TRUE(ParseInitialCluster("")->empty());
  EXPECT_FALSE(ParseInitialCluster("a").ok());
  EXPECT_FALSE(ParseInitialCluster("a=http://x").ok());
}

TEST(InitialClusterTest, ChecksBeforeBootstrap) {
  const auto cluster = *ParseInitialCluster("a=http://x:1,b=http://z:3");
  EXPECT_TRUE(VerifyBootstrap(cluster, "a", {"http://x:1"}, nullptr).ok());
  EXPECT_EQ(Text(VerifyBootstrap(cluster, "c", {"http://x:1"}, nullptr)),
            "couldn't find local name \"c\" in the initial cluster configuration");
  EXPECT_EQ(Text(VerifyBootstrap(cluster, "a", {"http://y:1"}, nullptr)),
            "--initial-cluster has a=http://x:1 but missing from --initial-advertise-peer-urls=http://y:1 "
            "(resolved urls: \"http://y:1\" != \"http://x:1\")");
  EXPECT_EQ(Text(VerifyBootstrap(cluster, "a", {"http://x:1", "http://y:1"}, nullptr)),
            "--initial-advertise-peer-urls has http://y:1 but missing from "
            "--initial-cluster=a=http://x:1,a=http://y:1");
  const auto twice = *ParseInitialCluster("a=http://x:1,b=http://x:1");
  EXPECT_EQ(Text(VerifyBootstrap(twice, "a", {"http://x:1"}, nullptr)),
            "initial cluster a=http://x:1,b=http://x:1 has duplicate url");
  EXPECT_EQ(Text(VerifyJoinExisting(twice, "a")),
            "initial cluster a=http://x:1,b=http://x:1 has duplicate url");
  EXPECT_TRUE(VerifyJoinExisting(cluster, "b").ok());
}

TEST(InitialClusterTest, HostNamesAreEqualByAddress) {
  const Resolver resolve = [](std::string_view host) -> StatusOr<std::string> {
    if (host.starts_with("x:")) return "10.0.0.1" + std::string(host.substr(1));
    return NotFound("no such host");
  };
  EXPECT_TRUE(UrlsEqual({"http://x:1"}, {"http://10.0.0.1:1"}, resolve).ok());
  EXPECT_FALSE(UrlsEqual({"http://x:1"}, {"http://10.0.0.1:1"}, nullptr).ok());
  EXPECT_FALSE(UrlsEqual({"http://x:1"}, {"https://10.0.0.1:1"}, resolve).ok());
  EXPECT_THAT(Text(UrlsEqual({"http://y:1"}, {"http://10.0.0.1:1"}, resolve)),
              HasSubstr("failed to resolve \"http://y:1\""));
  EXPECT_EQ(Text(UrlsEqual({"http://x:1"}, {}, resolve)), "len([\"http://x:1\"]) != len([])");
}

TEST(InitialClusterTest, MembersGetTheirIds) {
  const auto cluster =
      *ParseInitialCluster("c1=http://127.0.0.1:21390,c2=http://127.0.0.1:22390,c3=http://127.0.0.1:23390");
  const auto members = *InitialMembers(cluster, "golden-cluster");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].id, 0x55b7f2fec09e961u);
  EXPECT_EQ(members[0].attributes.name, "c1");
  EXPECT_EQ(members[2].id, 0xfd46847e848acd0fu);
  EXPECT_THAT(Text(InitialMembers({{"a", {"http://x:1"}}, {"b", {"http://x:1"}}}, "t").status()),
              HasSubstr("member exists with identical ID"));
}

TEST(InitialClusterTest, JoiningTakesIdsFromTheExistingCluster) {
  const auto cluster = *ParseInitialCluster("a=http://x:1,b=http://z:3");
  const std::vector<Member> existing = {{7, {"http://z:3"}, false, {"b", {"http://b:1"}}},
                                        {9, {"http://x:1"}, false, {}}};
  const auto members = *AssignIds(cluster, existing, nullptr);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].id, 7u);
  EXPECT_EQ(members[0].attributes.name, "b");
  EXPECT_EQ(members[1].attributes.name, "a");
  EXPECT_EQ(Text(AssignIds(cluster, {existing[0]}, nullptr).status()), "member count is unequal");
  EXPECT_THAT(Text(AssignIds({{"a", {"http://x:1"}}, {"b", {"http://q:3"}}}, existing, nullptr).status()),
              HasSubstr("PeerURLs: no match found for existing member (7, [http://z:3])"));
}

}  // namespace
}  // namespace quorate::cluster
