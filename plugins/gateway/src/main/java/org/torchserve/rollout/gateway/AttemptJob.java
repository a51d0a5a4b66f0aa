package org.torchserve.rollout.gateway;

import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpResponseStatus;
import java.util.Map;
import org.pytorch.serve.http.InternalServerException;
import org.pytorch.serve.job.Job;
import org.pytorch.serve.util.messages.RequestInput;
import org.pytorch.serve.util.messages.WorkerCommands;
import org.pytorch.serve.wlm.Model;
import org.torchserve.rollout.routing.Answer;
import org.torchserve.rollout.routing.Attempt;
import org.torchserve.rollout.routing.Dispatcher;
import org.torchserve.rollout.routing.Outcome;

/** One attempt as TorchServe's queues know it. What the worker says goes to the attempt, never to a connection. */
final class AttemptJob extends Job implements Dispatcher.Dispatched {
    private static final int TOO_LARGE = 413;
    private static final int OUT_OF_MEMORY = 507;
    private static final int BAD_GATEWAY = 502;
    private static final int LOWEST_STATUS = 200;
    private static final long AT_ONCE_MS = 1;

    private final Attempt attempt;
    private final Model model;
    private final double defaultDeadlineS;

    AttemptJob(Attempt attempt, Model model, RequestInput input, double defaultDeadlineS) {
        super(model.getModelName(), model.getVersion(), WorkerCommands.PREDICT, input);
        this.attempt = attempt;
        this.model = model;
        this.defaultDeadlineS = defaultDeadlineS;
    }

    @Override
    public void response(
            byte[] body, CharSequence contentType, int status, String reason, Map<String, String> headers) {
        try {
            checkHttp(contentType, status, reason, headers);
        } catch (IllegalArgumentException invalid) {
            String message =
                    String.format(
                            "The handler of version %s set a status or header that HTTP forbids: %s",
                            getModelVersion(), invalid.getMessage());
            attempt.failed(BAD_GATEWAY, "InvalidResponseException", message);
            return;
        }
        String next = headers == null ? null : headers.get(RequestInput.TS_STREAM_NEXT);
        Answer.Part part =
                next == null ? Answer.Part.WHOLE : "true".equals(next) ? Answer.Part.MORE : Answer.Part.LAST;
        attempt.answered(new Answer(status, reason, contentType, headers, body, part));
        if (part != Answer.Part.MORE) {
            FrontendMetrics.answered(this);
        }
    }

    /** Throws here what would break the answer later, when it is too late for stable to step in. */
    private static void checkHttp(CharSequence contentType, int status, String reason, Map<String, String> headers) {
        if (status < LOWEST_STATUS) {
            // 1xx only announces an answer: the client would wait for it.
            throw new IllegalArgumentException("status " + status);
        }
        if (reason == null) {
            HttpResponseStatus.valueOf(status);
        } else {
            new HttpResponseStatus(status, reason);
        }
        if (contentType != null && !isHarmless(contentType)) {
            new DefaultHttpHeaders().set(HttpHeaderNames.CONTENT_TYPE, contentType);
        }
        if (headers != null) {
            headers.forEach(AttemptJob::checkHeader);
        }
    }

    private static void checkHeader(String name, String value) {
        if (name == null || name.isEmpty() || !isHarmless(name) || value == null || !isHarmless(value)) {
            new DefaultHttpHeaders().set(name, value);
        }
    }

    /** True for what netty surely takes, as name and as value: nearly all that handlers set, and it costs no check of netty's. */
    private static boolean isHarmless(CharSequence text) {
        for (int i = 0; i < text.length(); i++) {
            char each = text.charAt(i);
            boolean letterOrDigit = each >= 'a' && each <= 'z' || each >= 'A' && each <= 'Z' || each >= '0' && each <= '9';
            if (!letterOrDigit && each != '-' && each != '_' && each != '/' && each != '.') {
                return false;
            }
        }
        return true;
    }

    @Override
    public void sendError(int status, String error) {
        // As RestJob: 413 is how TorchServe's workers say that memory ran out.
        attempt.failed(
                status == TOO_LARGE ? OUT_OF_MEMORY : status, InternalServerException.class.getSimpleName(), error);
    }

    /** TorchServe's continuous batching takes closed jobs out of its batches. */
    @Override
    public boolean isOpen() {
        return attempt.isCurrent();
    }

    @Override
    public long queueNanos() {
        return isTaken() ? getScheduled() - getBegin() : -1;
    }

    private boolean isTaken() {
        return getScheduled() != getBegin();
    }

    @Override
    public Outcome lost() {
        boolean unregistered = TorchServeVersions.find(getModelName(), getModelVersion()) != model;
        if (unregistered || !TorchServeVersions.hasWorkers(model)) {
            return Outcome.NO_CAPACITY;
        }
        // Stable's requests wait for a worker that restarts; a candidate's need not, stable is there.
        return attempt.route().role().isSpare() && !isTaken() ? TorchServeVersions.absence(model) : null;
    }

    @Override
    public void abandon() {
        // TorchServe leaves expired jobs out of the batches it collects.
        getPayload().setClientExpireTS(AT_ONCE_MS);
    }

    @Override
    public double modelDeadlineS() {
        return Math.max(defaultDeadlineS, model.getResponseTimeout());
    }
}
