package org.torchserve.rollout.routing;

/** Senders who get the candidate whatever its weight: those whose header has this value. */
public record Cohort(String header, String value) {
    private static final String PREFIX = "header:";

    /** From {@code header:NAME=VALUE}, or null if the text is none. */
    static Cohort parse(String text) {
        int equals = text.indexOf('=');
        boolean whole = text.startsWith(PREFIX) && equals > PREFIX.length() && equals < text.length() - 1;
        return whole ? new Cohort(text.substring(PREFIX.length(), equals), text.substring(equals + 1)) : null;
    }

    boolean has(Sender sender) {
        return value.equals(sender.header(header));
    }

    @Override
    public String toString() {
        return PREFIX + header + "=" + value;
    }
}
