using System.Globalization;
using System.Net.Sockets;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;

namespace Quorumail.EndToEnd.Peers;

/// <summary>A Postfix of the test's own, with a fresh spool.</summary>
internal sealed class PostfixProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory;
    private readonly ChildProcess _child;

    private PostfixProcess(TemporaryDirectory directory, ChildProcess child, int port)
    {
        _directory = directory;
        _child = child;
        Port = port;
    }

    /// <summary>Its SMTP port on 127.0.0.1.</summary>
    public int Port { get; }

    /// <summary>Where its virtual mailboxes are.</summary>
    public string MailDirectory => _directory["postfix/mail"];

    /// <summary>Its log.</summary>
    public string Log => File.Exists(_directory["postfix/maillog"]) ? File.ReadAllText(_directory["postfix/maillog"]) : _child.Output;

    /// <summary>Starts it with further lines of main.cf.</summary>
    public static async Task<PostfixProcess> StartAsync(IEnumerable<string> settings, CancellationToken token)
    {
        PeerPrograms.RequireRoot();
        await PeerPrograms.RequireAsync("postfix", token);
        var directory = new TemporaryDirectory();
        var port = FreePort.Take();
        var child = ChildProcess.Start(
            Path.Combine(Repository.Tests, "postfix.sh"),
            [directory["postfix"], port.ToString(CultureInfo.InvariantCulture), .. settings],
            directory["postfix.out"]);
        var postfix = new PostfixProcess(directory, child, port);
        await Deadline.UntilAsync(
            async each =>
            {
                Assert.False(child.HasExited, postfix.Log);
                try
                {
                    using var conversation = await SmtpConversation.ConnectAsync(port, each);
                    return (await conversation.ReadReplyAsync(each)).Code == 220;
                }
                catch (SocketException)
                {
                    return false;
                }
            },
            StartLimit,
            () => postfix.Log,
            token);
        return postfix;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // Postfix's processes leave the master's session group one by one; its own SIGTERM reaches all of them.
        _child.Send(Signal.Terminate);
        try
        {
            await _child.WaitAsync(StartLimit, CancellationToken.None);
        }
        finally
        {
            await _child.DisposeAsync();
            _directory.Dispose();
        }
    }
}
