// Rows of memories that differ from the fault-free run in some lane: lanes for each of them, from a pool.

#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace faults {

template <int L> class Rows {
    using K = Kernels<L>;

  public:
    explicit Rows(const Program& program) : rows_(program.memories.size()) {
        for (const Memory& m : program.memories) {
            slot_.emplace_back(m.depth, -1);
            types_.push_back(type_of(static_cast<u8>(m.width)));
        }
    }

    Type type(u32 m) const { return types_[m]; }
    bool empty() const { return kept_ == 0; }
    /// Rows of a memory that differ.
    const std::vector<u32>& of(u32 m) const { return rows_[m]; }
    /// Lanes of a row; none if it is as without faults, or does not exist.
    u8* find(u32 m, u64 row) const {
        if (row >= slot_[m].size() || slot_[m][row] < 0) return nullptr;
        return pool_[static_cast<u32>(slot_[m][row])].get();
    }
    /// Lanes of a row, which hold its fault-free content if nothing differed.
    u8* at(u32 m, u32 row, u64 content) {
        int& slot = slot_[m][row];
        if (slot < 0) {
            if (free_.empty()) {
                free_.push_back(static_cast<int>(pool_.size()));
                pool_.emplace_back(static_cast<u8*>(std::aligned_alloc(64, static_cast<std::size_t>(L) * 8)));
            }
            slot = free_.back();
            free_.pop_back();
            rows_[m].push_back(row);
            ++kept_;
            K::fill(types_[m], pool_[static_cast<u32>(slot)].get(), content);
        }
        return pool_[static_cast<u32>(slot)].get();
    }
    /// Gives a row back if no lane differs from its fault-free content.
    void settle(u32 m, u32 row, u64 content) {
        const u8* lanes = find(m, row);
        u64 other[L / 64];
        if (!lanes || K::differing(types_[m], lanes, content, other)) return;
        free_.push_back(slot_[m][row]);
        slot_[m][row] = -1;
        rows_[m].erase(std::find(rows_[m].begin(), rows_[m].end(), row));
        --kept_;
    }
    /// Gives all back.
    void clear() {
        for (u32 m = 0; kept_ && m < rows_.size(); ++m) {
            for (u32 row : rows_[m]) {
                free_.push_back(slot_[m][row]);
                slot_[m][row] = -1;
            }
            kept_ -= static_cast<u32>(rows_[m].size());
            rows_[m].clear();
        }
    }

  private:
    struct Free {
        void operator()(u8* at) const { std::free(at); }
    };

    std::vector<Type> types_;             // by memory
    std::vector<std::vector<int>> slot_;  // by memory and row: lanes in the pool, or -1
    std::vector<std::vector<u32>> rows_;  // by memory: rows that have some
    std::vector<std::unique_ptr<u8, Free>> pool_;
    std::vector<int> free_;
    u32 kept_ = 0;
};

}  // namespace faults
