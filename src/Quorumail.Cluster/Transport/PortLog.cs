using Microsoft.Extensions.Logging;

namespace Quorumail.Cluster.Transport;

/// <summary>The log lines of the cluster port.</summary>
internal static partial class PortLog
{
    [LoggerMessage(LogLevel.Information, "cluster port: listening on {EndPoint}, TLS: {IsTls}, authentication: {IsAuthenticating}")]
    public static partial void Listening(ILogger log, string endPoint, bool isTls, bool isAuthenticating);

    [LoggerMessage(LogLevel.Information, "cluster port: connected to {NodeId} (incarnation {Incarnation}) at {Remote}")]
    public static partial void Connected(ILogger log, string nodeId, int incarnation, string remote);

    [LoggerMessage(LogLevel.Information, "cluster port: {NodeId} is not connected any more: {Reason}")]
    public static partial void Disconnected(ILogger log, string nodeId, string reason);

    [LoggerMessage(LogLevel.Information, "cluster port: {NodeId} refuses to be dialled again: its process is gone")]
    public static partial void Gone(ILogger log, string nodeId);

    [LoggerMessage(LogLevel.Warning, "cluster port: refused {Peer}: {Text} ({Reason})")]
    public static partial void Refused(ILogger log, string peer, string text, string reason);

    [LoggerMessage(LogLevel.Warning, "cluster port: {Peer} refused this node: {Text} ({Reason})")]
    public static partial void RefusedByPeer(ILogger log, string peer, string text, string reason);

    [LoggerMessage(LogLevel.Information, "cluster port: {Address} is this node's own address")]
    public static partial void OwnAddress(ILogger log, string address);

    [LoggerMessage(LogLevel.Information, "cluster port: {Address} can't be reached, and is tried again: {Reason}")]
    public static partial void Unreachable(ILogger log, string address, string reason);

    [LoggerMessage(LogLevel.Warning, "cluster port: more than {Max} addresses to dial; {Address} is left out")]
    public static partial void TooManyAddresses(ILogger log, int max, string address);

    [LoggerMessage(LogLevel.Warning, "cluster port: {Reason}; the address is left out")]
    public static partial void BadAddress(ILogger log, string reason);

    [LoggerMessage(LogLevel.Error, "cluster port: a frame of type {Type} from {NodeId} could not be handled")]
    public static partial void HandlerFailed(ILogger log, Exception failure, string type, string nodeId);

    [LoggerMessage(LogLevel.Error, "cluster port: connections can't be accepted")]
    public static partial void AcceptFailed(ILogger log, Exception failure);

    [LoggerMessage(LogLevel.Debug, "cluster port: {Remote} ended without a handshake: {Reason}")]
    public static partial void NoHandshake(ILogger log, string remote, string reason);
}
