// What the load generator sends: requests serialized once, of which only the key changes from call to call.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace quorate::bench {

// "key-00001234": of one width, so that a template's digits can be overwritten in place.
constexpr size_t kDigits = 8;
void PutDigits(uint64_t number, char* at);
std::string Key(uint64_t number);

struct Template {
  std::string path;
  std::string bytes;
  std::vector<size_t> digits;  // Where the key's digits stand.

  Template(std::string p, const google::protobuf::Message& message);
  void SetKey(uint64_t number) {
    for (size_t at : digits) PutDigits(number, bytes.data() + at);
  }
};

enum class Order { kRandom, kSequential };

struct Mix {
  std::vector<Template> templates;  // Taken in turn; none when the name is unknown.
  Order order = Order::kRandom;
  uint64_t stride = 1;      // kSequential: from one call's key to the next one's.
  uint64_t keys = 1;        // kRandom: keys are drawn from [0, keys).
  size_t answer_bytes = 0;  // A shorter answer is counted as an error: it did not hold what was asked for.
};

// The unary workloads: fill put range range-linear range1000 scan txn delete mixed.
Mix MakeMix(const std::string& workload, uint64_t keys, size_t value_bytes);

}  // namespace quorate::bench
