package org.torchserve.rollout.routing;

/** Whoever waits for the answer. Gets either one problem, one whole answer, or a stream; never blocks. */
public interface Caller {
    /** An answer or the next part of a stream. */
    void answer(Answer answer, Served served);

    void problem(Problem problem, Served served);

    /** The stream ends here and is not complete; the caller must be able to see that. */
    void breakOff(String message);

    /** How it ended, told just before the last word to the caller. */
    default void concluded(Outcome outcome) {}
}
