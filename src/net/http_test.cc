#include "net/http.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate::net {
namespace {

TEST(Http, PercentDecoding) {
  EXPECT_EQ("a b", PercentDecode("a%20b", false));
  EXPECT_EQ("a+b", PercentDecode("a+b", false));
  EXPECT_EQ("a b", PercentDecode("a+b", true));
  for (const char* bad : {"%", "%2", "%zz", "a%2"}) EXPECT_EQ(std::nullopt, PercentDecode(bad, false)) << bad;
  HttpRequest request;
  request.SetTarget("/health?exclude=NOSPACE&&exclude=CORRUPT&x&bad=%zz");
  EXPECT_EQ((std::vector<std::string>{"NOSPACE", "CORRUPT"}), request.query_values("exclude"));
  EXPECT_EQ((std::vector<std::string>{""}), request.query_values("x"));
  EXPECT_TRUE(request.query_values("bad").empty());
}

TEST(Http, TargetsAsForAProxy) {
  const struct {
    std::string target;
    std::string host;
    std::string path;
    std::string query;
  } cases[] = {
      {"/version", "", "/version", ""},
      {"http://a:1/version?x=%20", "a:1", "/version", "x=%20"},
      {"HTTPS://[::1]:1/v%33/", "[::1]:1", "/v3/", ""},
      {"http://u:p@a", "a", "/", ""},
      {"http://a?x", "a", "/", "x"},
      {"http:///version", "", "/version", ""},
      {"ftp://a/version", "", "ftp://a/version", ""},
      {"//a/version", "", "//a/version", ""},
      {"*", "", "*", ""},
  };
  for (const auto& c : cases) {
    HttpRequest request;
    request.SetTarget(c.target);
    EXPECT_EQ(request.target, c.target);
    EXPECT_EQ(request.host, c.host) << c.target;
    EXPECT_EQ(request.path, c.path) << c.target;
    EXPECT_EQ(request.query, c.query) << c.target;
  }
}

}  // namespace
}  // namespace quorate::net
