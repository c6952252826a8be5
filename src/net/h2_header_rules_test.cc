#include "net/h2_header_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace quorate::net {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

bool Accepted(const Headers& headers) {
  H2HeaderRules rules;
  for (const auto& [name, value] : headers) {
    if (!rules.Take(name, value)) return false;
  }
  return rules.Complete();
}

TEST(H2HeaderRules, TakesWhatClientsSend) {
  const Headers grpc = {{":method", "POST"}, {":scheme", "http"},   {":path", "/etcdserverpb.KV/Put"},
                        {":authority", "a"}, {"te", "trailers"},    {"content-type", "application/grpc"},
                        {"x-bin", "AAEC"},   {"grpc-timeout", "5S"}};
  EXPECT_TRUE(Accepted(grpc));
  // grpc-go before 1.31 with a passthrough target: what etcdctl 3.4 sends for --endpoints http://...
  Headers whole_endpoint = grpc;
  whole_endpoint[3].second = "http://127.0.0.1:2379";
  EXPECT_TRUE(Accepted(whole_endpoint));
  whole_endpoint[3].second = "";
  EXPECT_TRUE(Accepted(whole_endpoint));
}

TEST(H2HeaderRules, RefusesWhatIsMalformed) {
  const Headers good = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  ASSERT_TRUE(Accepted(good));
  const auto with = [&](const std::string& name, const std::string& value) {
    Headers headers = good;
    headers.emplace_back(name, value);
    return headers;
  };
  EXPECT_FALSE(Accepted({}));
  for (size_t missing = 0; missing < good.size(); ++missing) {
    Headers headers = good;
    headers.erase(headers.begin() + static_cast<ptrdiff_t>(missing));
    EXPECT_FALSE(Accepted(headers)) << good[missing].first;
  }
  EXPECT_FALSE(Accepted(with(":path", "/again")));
  EXPECT_FALSE(Accepted(with(":status", "200")));
  EXPECT_FALSE(Accepted(with("", "x")));
  EXPECT_FALSE(Accepted(with("Upper", "x")));
  EXPECT_FALSE(Accepted(with("a b", "x")));
  EXPECT_FALSE(Accepted(with("x", std::string("a\0b", 3))));
  EXPECT_FALSE(Accepted(with("x", "a\r\nb")));
  EXPECT_FALSE(Accepted(with("connection", "close")));
  EXPECT_FALSE(Accepted(with("te", "gzip")));
  EXPECT_FALSE(Accepted({{":method", "GET"}, {"x", "y"}, {":scheme", "http"}, {":path", "/"}}));
  EXPECT_FALSE(Accepted({{":method", "GET"}, {":scheme", "http"}, {":path", ""}}));
}

TEST(H2HeaderRules, TrailersHoldFieldsOnly) {
  EXPECT_TRUE(H2HeaderRules::AllowedInTrailers("x", "y"));
  EXPECT_FALSE(H2HeaderRules::AllowedInTrailers(":path", "/"));
  EXPECT_FALSE(H2HeaderRules::AllowedInTrailers("connection", "close"));
}

}  // namespace
}  // namespace quorate::net
