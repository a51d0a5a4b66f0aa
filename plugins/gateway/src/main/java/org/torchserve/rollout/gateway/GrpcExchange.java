package org.torchserve.rollout.gateway;

import org.torchserve.rollout.routing.Exchange;

/** One request of a gRPC call, which may be cancelled before its exchange has begun. */
final class GrpcExchange {
    private Exchange exchange;
    private boolean isGone;

    /** @param begun null if the request was refused */
    void is(Exchange begun) {
        synchronized (this) {
            exchange = begun;
            if (!isGone) {
                return;
            }
        }
        gone();
    }

    /** The client cancelled the call. */
    void gone() {
        Exchange begun;
        synchronized (this) {
            isGone = true;
            begun = exchange;
        }
        if (begun != null) {
            begun.callerGone();
        }
    }
}
