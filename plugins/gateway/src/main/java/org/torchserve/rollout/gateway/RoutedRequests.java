package org.torchserve.rollout.gateway;

import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.QueryStringDecoder;
import java.util.Set;
import org.pytorch.serve.archive.DownloadArchiveException;
import org.pytorch.serve.archive.model.ModelException;
import org.pytorch.serve.archive.model.ModelNotFoundException;
import org.pytorch.serve.archive.model.ModelVersionNotFoundException;
import org.pytorch.serve.archive.workflow.WorkflowException;
import org.pytorch.serve.http.BadRequestException;
import org.pytorch.serve.http.HttpRequestHandlerChain;
import org.pytorch.serve.util.NettyUtils;
import org.pytorch.serve.util.messages.RequestInput;
import org.pytorch.serve.wlm.ModelManager;
import org.pytorch.serve.wlm.WorkerInitializationException;
import org.torchserve.rollout.routing.Exchange;
import org.torchserve.rollout.routing.Route;
import org.torchserve.rollout.routing.Sender;

/** Takes the inference requests out of TorchServe's chain of handlers and sends them where the policy says. */
final class RoutedRequests extends HttpRequestHandlerChain {
    private final Inferences inferences;
    private final Set<String> inferencePlugins;

    /** @param inferencePlugins first path segments that other plugins answer */
    RoutedRequests(Inferences inferences, Set<String> inferencePlugins) {
        this.inferences = inferences;
        this.inferencePlugins = inferencePlugins;
    }

    @Override
    public void handleRequest(
            ChannelHandlerContext ctx, FullHttpRequest request, QueryStringDecoder decoder, String[] segments)
            throws ModelException, DownloadArchiveException, WorkflowException, WorkerInitializationException {
        Target target = Target.of(segments, decoder);
        boolean ours =
                target != null
                        && !HttpMethod.OPTIONS.equals(request.method())
                        && (!target.isOpenAi() || HttpMethod.POST.equals(request.method()))
                        && !inferencePlugins.contains(segments[1]);
        if (ours) {
            send(ctx, request, decoder, target);
        } else {
            chain.handleRequest(ctx, request, decoder, segments);
        }
    }

    private void send(
            ChannelHandlerContext ctx, FullHttpRequest request, QueryStringDecoder decoder, Target target)
            throws ModelNotFoundException, ModelVersionNotFoundException {
        RequestInput input =
                RequestReader.read(NettyUtils.getRequestId(ctx.channel()), request, decoder, target);
        HttpHeaders headers = request.headers();
        String model = target.model();
        String version = target.version() != null ? target.version() : headers.get(HttpCaller.MODEL_VERSION);
        if (target.isOpenAi()) {
            String named = OpenAiRoutes.modelIn(request.content());
            int colon = named.indexOf(':');
            model = colon < 0 ? named : named.substring(0, colon);
            version = colon < 0 || version != null ? version : named.substring(colon + 1);
        } else if (model == null) {
            model = modelOf(input);
        }
        Sequences.beginIfNew(model, input);
        String sequence = input.getSequenceId();
        Sender sender =
                sequence.isEmpty()
                        ? new RequestSender(headers::get, null, false)
                        : new RequestSender(headers::get, sequence, Sequences.ends(headers::get));
        Route route = inferences.route(model, version, sender);
        ErrorForm errors = target.isOpenAi() ? ErrorForm.OPENAI : ErrorForm.TORCHSERVE;
        HttpCaller caller = new HttpCaller(ctx, errors);
        Exchange exchange = inferences.begin(route, input, caller);
        ctx.pipeline().get(Connection.class).whenClosed(exchange::callerGone);
    }

    /** The model of a request whose path names none: the only one loaded at start-up, or the one named in the body. */
    private static String modelOf(RequestInput input) {
        Set<String> startupModels = ModelManager.getInstance().getStartupModels();
        if (startupModels.size() == 1) {
            return startupModels.iterator().next();
        }
        String named = input.getStringParameter("model_name");
        if (named == null) {
            throw new BadRequestException("Parameter model_name is required.");
        }
        return named;
    }
}
