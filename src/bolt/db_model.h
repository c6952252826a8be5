// For tests: a bucket as a std::map, random changes made to both sides, and the comparison.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/test_seed.h"
#include "bolt/check.h"
#include "bolt/db.h"

namespace quorate::bolt {

struct BucketModel {
  std::map<std::string, std::string> values;
  std::map<std::string, BucketModel> buckets;

  friend bool operator==(const BucketModel&, const BucketModel&) = default;
};

inline std::string NumberedKey(uint64_t n) {
  std::string key;
  AppendBig64(key, n);
  return key;
}

// Everything that is in the bucket, in the order the cursor gives it (a key given twice or out of order
// fails).
inline StatusOr<BucketModel> ReadModel(const Bucket& bucket) {
  BucketModel model;
  std::string before;
  Cursor cursor = bucket.NewCursor();
  for (Status s = cursor.SeekFirst();; s = cursor.Next()) {
    QUORATE_RETURN_IF_ERROR(s);
    if (!cursor.Valid()) return model;
    const std::string key(cursor.key());
    if (key <= before) return Internal("the cursor gave keys out of order");
    before = key;
    if (!cursor.is_bucket()) {
      model.values[key] = cursor.value();
      continue;
    }
    QUORATE_ASSIGN_OR_RETURN(const auto below, bucket.FindBucket(key));
    if (!below) return Internal("the cursor gave a bucket that can't be found");
    QUORATE_ASSIGN_OR_RETURN(model.buckets[key], ReadModel(*below));
  }
}

inline StatusOr<BucketModel> ReadModel(const ReadTx& tx) {
  QUORATE_ASSIGN_OR_RETURN(const Bucket root, tx.Root());
  return ReadModel(root);
}

inline StatusOr<BucketModel> ReadModel(Db& db) {
  QUORATE_ASSIGN_OR_RETURN(const ReadTx tx, db.BeginRead());
  return ReadModel(tx);
}

inline void ExpectSound(Db& db) {
  EXPECT_EQ(db.VerifyFreePages(), absl::OkStatus());
  const auto tx = db.BeginRead();
  ASSERT_EQ(tx.status(), absl::OkStatus());
  const CheckReport report = Check(*tx);
  for (const Status& problem : report.problems) ADD_FAILURE() << problem;
}

// Makes the same random change in a bucket and in its model. Errors fail the test.
class RandomChanges {
 public:
  struct Weights {
    uint64_t key_space = 400;
    uint64_t value_bytes_max = 120;
    bool large_values = true;
    int bucket_depth_max = 2;
  };

  RandomChanges(uint64_t seed, const Weights& weights) : random_(seed), weights_(weights) {}

  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void Change(WriteBucket& bucket, BucketModel& model, int depth = 0) {
    const uint64_t kind = Below(100);
    if (depth < weights_.bucket_depth_max && (depth == 0 || kind < 20))
      return ChangeBelow(bucket, model, depth);
    if (kind < 75) {
      Put(bucket, model, Key(), Value());
    } else if (kind < 95) {
      Delete(bucket, model, Key());
    } else if (kind < 98) {
      DeleteRange(bucket, model);
    } else {
      Append(bucket, model);
    }
  }

 private:
  std::string Key() { return Numbered('k', weights_.key_space); }
  std::string Numbered(char letter, uint64_t bound) {
    std::string name(1, letter);
    name += std::to_string(Below(bound));
    return name;
  }
  std::string Value() {
    const uint64_t size =
        weights_.large_values && Below(40) == 0 ? Below(20'000) : Below(weights_.value_bytes_max + 1);
    return std::string(size, static_cast<char>('a' + Below(26)));
  }

  void ChangeBelow(WriteBucket& bucket, BucketModel& model, int depth) {
    const std::string name = Numbered('b', 3);
    if (Below(60) == 0) {
      const Status deleted = bucket.DeleteBucket(name);
      EXPECT_EQ(deleted.ok(), model.buckets.erase(name) == 1) << deleted;
      return;
    }
    const auto below = bucket.CreateBucketIfMissing(name);
    ASSERT_EQ(below.status(), absl::OkStatus());
    Change(**below, model.buckets[name], depth + 1);
  }
  void Put(WriteBucket& bucket, BucketModel& model, const std::string& key, const std::string& value) {
    ASSERT_EQ(bucket.Put(key, value), absl::OkStatus());
    model.values[key] = value;
  }
  void Delete(WriteBucket& bucket, BucketModel& model, const std::string& key) {
    ASSERT_EQ(bucket.Delete(key), absl::OkStatus());
    model.values.erase(key);
    const auto found = bucket.Get(key);
    ASSERT_EQ(found.status(), absl::OkStatus());
    EXPECT_FALSE(found->has_value());
  }
  void DeleteRange(WriteBucket& bucket, BucketModel& model) {
    auto it = model.values.lower_bound(Key());
    for (uint64_t n = Below(200); n > 0 && it != model.values.end(); --n) {
      ASSERT_EQ(bucket.Delete(it->first), absl::OkStatus());
      it = model.values.erase(it);
    }
  }
  void Append(WriteBucket& bucket, BucketModel& model) {
    for (uint64_t n = Below(300); n > 0; --n) {
      std::string key = model.values.empty() ? "k" : model.values.rbegin()->first;
      if (key.size() < 20 || key.back() == '9') {
        key += '0';
      } else {
        ++key.back();
      }
      Put(bucket, model, key, Value());
    }
  }

  std::mt19937_64 random_;
  const Weights weights_;
};

}  // namespace quorate::bolt
