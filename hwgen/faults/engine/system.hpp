// The host and the memory of an accelerator: control over AXI4-Lite, memory by the contract of dram.hpp, the simulator's. What the memory holds is part of the program (tables.py): the bench tells which row is shown and
// which one a beat goes to.

#pragma once

#include <algorithm>
#include <vector>

#include "dram.hpp"
#include "fault.hpp"

namespace faults {

struct SystemJob {
    dram::Config dram;
    u32 bus_bytes, rows;
    u64 bytes;
    // Pins: inputs first, then outputs, in this order.
    u32 arready, awready, wready, rvalid, rlast, rresp, bvalid, bresp, read_row, write_row, take;
    u32 awaddr_in, awvalid_in, wdata_in, wstrb_in, wvalid_in, bready_in, araddr_in, arvalid_in, rready_in;
    u32 arvalid, awvalid, wvalid, wlast, rready, bready, araddr, awaddr, arlen, awlen, wstrb;
    u32 host_awready, host_wready, host_bvalid, host_arready, host_rvalid, host_rdata, irq;
    u32 detected, corrected;  // report a fault, and that one was put right; NONE if there is none
    std::vector<u64> writes;  // address and value of each
    u32 status, failed;       // register to read at the end, and its bit that says that there was an error
    mutable bool recording = true;

    explicit SystemJob(Reader& r) {
        dram.latency = r.next();
        dram.interval = r.small();
        dram.depth = r.small();
        dram.write_latency = r.next();
        bus_bytes = r.small();
        rows = r.small();
        bytes = r.next();
        for (u32* pin : {&arready, &awready, &wready, &rvalid, &rlast, &rresp, &bvalid, &bresp, &read_row, &write_row, &take,
                         &awaddr_in, &awvalid_in, &wdata_in, &wstrb_in, &wvalid_in, &bready_in, &araddr_in, &arvalid_in,
                         &rready_in, &arvalid, &awvalid, &wvalid, &wlast, &rready, &bready, &araddr, &awaddr, &arlen,
                         &awlen, &wstrb, &host_awready, &host_wready, &host_bvalid, &host_arready, &host_rvalid,
                         &host_rdata, &irq, &detected, &corrected}) {
            *pin = r.small();
        }
        status = r.small();
        failed = r.small();
        for (u32 n = r.small(); n--;) {
            writes.push_back(r.next());
            writes.push_back(r.next());
        }
    }
};

class SystemBench {
  public:
    SystemBench() = default;
    explicit SystemBench(const SystemJob& job) : job_(&job), memory_(job.dram, job.bus_bytes, job.bytes) {}

    void drive(u64* in) {
        const SystemJob& j = *job_;
        const dram::Timing& timing = memory_.timing;
        in[j.arready] = timing.arready();
        in[j.awready] = timing.awready();
        in[j.wready] = timing.wready();
        in[j.rvalid] = timing.rvalid();
        in[j.rlast] = timing.rlast();
        in[j.rresp] = memory_.rresp();
        in[j.bvalid] = timing.bvalid();
        in[j.bresp] = memory_.bresp();
        in[j.read_row] = timing.rvalid() && memory_.inside() ? memory_.row() : j.rows;
        in[j.write_row] = timing.wready() && memory_.inside() ? memory_.row() : j.rows;
        in[j.take] = timing.wready() && memory_.inside();
        // The host: one access after the other, each step seen before the next.
        const bool writing = step_ < j.writes.size() / 2, reading = asks_;
        in[j.awaddr_in] = writing ? j.writes[2 * step_] : 0;
        in[j.wdata_in] = writing ? j.writes[2 * step_ + 1] : 0;
        in[j.wstrb_in] = 15;
        in[j.bready_in] = writing;
        in[j.awvalid_in] = writing && !address_sent_;
        in[j.wvalid_in] = writing && !data_sent_;
        in[j.araddr_in] = j.status;
        in[j.arvalid_in] = reading && !address_sent_;
        in[j.rready_in] = reading;
    }
    void edge(const u64* out) {
        const SystemJob& j = *job_;
        dram::Inputs in;
        in.arvalid = out[j.arvalid] != 0;
        in.awvalid = out[j.awvalid] != 0;
        in.wvalid = out[j.wvalid] != 0;
        in.rready = out[j.rready] != 0;
        in.bready = out[j.bready] != 0;
        in.araddr = out[j.araddr];
        in.awaddr = out[j.awaddr];
        in.arbeats = static_cast<uint32_t>(out[j.arlen]) + 1;
        in.awbeats = static_cast<uint32_t>(out[j.awlen]) + 1;
        if (status_ != BROKE) memory_.edge(in, out[j.wstrb], out[j.wlast] != 0);
        if (j.detected != NONE && out[j.detected]) report(cycle_);
        if (j.corrected != NONE && out[j.corrected]) mend();
        ++cycle_;
        if (memory_.violation()) {
            if (status_ != BROKE) end_ = cycle_;
            status_ = BROKE;
            done_ = j.detected == NONE || flag_ != NONE || cycle_ - end_ == LATE;
            return;
        }
        if (step_ < j.writes.size() / 2) {
            const bool answered = out[j.host_bvalid] != 0;
            address_sent_ |= out[j.host_awready] != 0;
            data_sent_ |= out[j.host_wready] != 0;
            if (answered) {
                ++step_;
                address_sent_ = data_sent_ = false;
            }
        } else if (asks_) {
            const bool answered = out[j.host_rvalid] != 0;
            address_sent_ |= out[j.host_arready] != 0;
            if (answered) {
                if (out[j.host_rdata] >> j.failed & 1) report(end_);
                done_ = true;
            }
        } else if (out[j.irq]) {
            end_ = cycle_;
            asks_ = true;
        }
    }
    bool done() const { return done_; }
    /// Whether nothing can happen any more unless the design does something. Beats may go by that it ignores.
    bool still() const {
        constexpr uint32_t BEATS = dram::Timing::RVALID | dram::Timing::WREADY | dram::Timing::BVALID;
        if (memory_.timing.outputs() & BEATS) return false;
        return step_ == job_->writes.size() / 2 && !asks_ && status_ != BROKE && memory_.timing.still_until() == dram::NEVER;
    }
    /// Whether this looks at an output as long as the host waits for the interrupt.
    bool acts_on(u32 output) const {
        const SystemJob& j = *job_;
        for (u32 pin : {j.arvalid, j.awvalid, j.wvalid, j.wlast, j.rready, j.bready, j.araddr, j.awaddr, j.arlen, j.awlen, j.wstrb,
                        j.irq, j.detected, j.corrected}) {
            if (output == pin) return true;
        }
        return false;
    }
    u32 cycle() const { return cycle_; }
    Status status() const { return done_ ? status_ : HUNG; }
    u64 digest() const { return 0; }
    u32 flag() const { return flag_; }
    u32 wrong() const { return 0; }
    u32 end() const { return end_; }
    void exchange(u64) {}
    void keep(u64*) {}
    std::size_t places() const { return 0; }
    std::vector<u64> expected() const { return {}; }
    /// Whether an output does nothing but report faults.
    bool reports(u32 output) const { return output == job_->detected; }
    /// It did in a cycle before, or never.
    void report(u32 cycle) { flag_ = std::min(flag_, cycle); }
    /// Whether it ever told that it corrected something.
    bool mended() const { return mended_; }
    void mend() { mended_ = true; }

    /// What it means if an output differs. Data to memory are part of the program.
    Effect effect(u32 output, const u64* out) const {
        const SystemJob& j = *job_;
        const dram::Timing& timing = memory_.timing;
        const bool writing = step_ < j.writes.size() / 2;
        if (reports(output)) return FLAG;
        if (output == j.corrected) return MENDED;
        if (output == j.arvalid || output == j.awvalid || output == j.wvalid || output == j.irq) return FLOW;
        if (output == j.araddr || output == j.arlen) return out[j.arvalid] ? FLOW : IGNORED;
        if (output == j.awaddr || output == j.awlen) return out[j.awvalid] ? FLOW : IGNORED;
        if (output == j.wlast) return out[j.wvalid] ? FLOW : IGNORED;
        if (output == j.rready) return timing.rvalid() ? FLOW : IGNORED;
        if (output == j.bready) return timing.bvalid() ? FLOW : IGNORED;
        if (output == j.host_awready || output == j.host_wready || output == j.host_bvalid) return writing ? FLOW : IGNORED;
        if (output == j.host_arready || output == j.host_rvalid) return asks_ ? FLOW : IGNORED;
        if (output == j.host_rdata) return asks_ && out[j.host_rvalid] ? FLOW : IGNORED;
        return IGNORED;
    }
    u32 place(u32) const { return 0; }

  private:
    const SystemJob* job_ = nullptr;
    dram::Protocol memory_{dram::Config{}, 8, 0};
    u32 step_ = 0, cycle_ = 0, end_ = 0, flag_ = NONE;
    bool address_sent_ = false, data_sent_ = false, asks_ = false, done_ = false, mended_ = false;
    Status status_ = FINISHED;
};

}  // namespace faults
