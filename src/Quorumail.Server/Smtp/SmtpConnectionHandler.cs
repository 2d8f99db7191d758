using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Smtp;

/// <summary>Takes the connections of one SMTP listener.</summary>
public sealed partial class SmtpConnectionHandler(SmtpServices services, SmtpListener listener) : ConnectionHandler
{
    /// <summary>Serves a connection to its end. Whatever happens to it harms no other.</summary>
    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        await using var smtp = new SmtpConnection(connection, services, listener);
        try
        {
            await smtp.RunAsync();
        }
        catch (Exception failure) when (failure is ConnectionResetException or ConnectionAbortedException or IOException or OperationCanceledException)
        {
            // A client may hang up at any time; a port check does so at once.
            LogHungUp(services.Logger, connection.ConnectionId, failure.Message);
        }
        catch (Exception failure)
        {
            LogFailed(services.Logger, connection.ConnectionId, failure);
            connection.Abort();
        }
    }

    [LoggerMessage(10, LogLevel.Debug, "connection {connection} ended: {reason}")]
    private static partial void LogHungUp(ILogger log, string connection, string reason);

    [LoggerMessage(11, LogLevel.Error, "connection {connection} was cut off by an internal error")]
    private static partial void LogFailed(ILogger log, string connection, Exception failure);
}
