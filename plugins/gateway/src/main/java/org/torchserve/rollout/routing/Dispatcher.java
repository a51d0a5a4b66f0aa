package org.torchserve.rollout.routing;

/** One request, ready to be handed to any version of its model. */
public interface Dispatcher {
    /** Puts an attempt into its version's queue without waiting; answers come through the attempt's own methods. */
    Dispatched dispatch(Attempt attempt) throws RefusedException;

    /** An attempt in a queue or with a worker. */
    interface Dispatched {
        /** Nanoseconds until a worker took it; -1 if none did or it is not known. */
        long queueNanos();

        /** Why no answer can come any more: the version is gone, or nobody is left who would take it; null while one can. */
        Outcome lost();

        /** Nobody waits for the answer any more. */
        void abandon();

        /** Seconds this model may take when no policy says otherwise. */
        double modelDeadlineS();
    }

    /** The version takes no request now. */
    final class RefusedException extends Exception {
        private static final long serialVersionUID = 1L;

        private final Outcome outcome;
        private final transient Problem problem;

        public RefusedException(Outcome outcome, Problem problem) {
            super(problem.message(), null, false, false);
            this.outcome = outcome;
            this.problem = problem;
        }

        public Outcome outcome() {
            return outcome;
        }

        public Problem problem() {
            return problem;
        }
    }
}
