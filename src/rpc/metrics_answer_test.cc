#include "rpc/metrics_answer.h"

#include <gtest/gtest.h>

#include "net/grpc_framing.h"

namespace quorate::rpc {
namespace {

TEST(MetricsAnswer, WhoGetsGzip) {
  struct Case {
    std::string_view header;
    bool gzip;
  };
  for (const Case& c :
       {Case{"", false}, Case{"gzip", true}, Case{" gzip ", true}, Case{"deflate, gzip", true},
        Case{"deflate,\tgzip;q=0.5,br", true}, Case{"gzip;q=0.001", true}, Case{"gzip;x", true},
        Case{"gzip; q=1", true}, Case{"gzip;q=0", false}, Case{"gzip; q=0.000", false},
        Case{"gzip ;q=1", false}, Case{"GZIP", false}, Case{"x-gzip", false}, Case{"*", false},
        Case{"identity", false}, Case{"gzipped", false}, Case{",,;,", false}}) {
    EXPECT_EQ(c.gzip, AcceptsGzip(c.header)) << c.header;
  }
}

TEST(MetricsAnswer, GzipComesBackWhole) {
  std::string page;
  for (int i = 0; i < 3000; ++i) page += "etcd_server_some_figure{of=\"" + std::to_string(i) + "\"} 1\n";
  std::string noise(100'000, '\0');  // Nothing repeats in it: the bound of what it becomes is above its size.
  uint32_t state = 1;
  for (char& c : noise) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  for (const std::string& text : {std::string(), std::string("a"), page, noise}) {
    const std::string packed = Gzip(text);
    std::string opened;
    ASSERT_EQ(net::GunzipResult::kOk, net::Gunzip(packed, text.size(), &opened));
    EXPECT_EQ(text, opened);
  }
  EXPECT_LT(Gzip(page).size(), page.size() / 5);
}

}  // namespace
}  // namespace quorate::rpc
