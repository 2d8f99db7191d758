using System.Text;
using Quorumail.Core.Delivery.Client;

namespace Quorumail.Core.Tests.Delivery.Client;

/// <summary>
/// Plays a next hop against a session: each command line is answered by a script, each answer is cut into pieces. Keeps what the
/// client said and every step.
/// </summary>
internal sealed class SessionDriver(SmtpClientSession session, Func<string, string?> answer, int piece = int.MaxValue)
{
    private readonly StringBuilder _pending = new();
    private bool _inData;

    /// <summary>Every line of the client, the message and its dot among them.</summary>
    public List<string> Said { get; } = [];

    /// <summary>Every byte of the client.</summary>
    public StringBuilder Wire { get; } = new();

    /// <summary>Each change of step and stage.</summary>
    public List<string> Steps { get; } = [];

    /// <summary>Answers to the dot: one, or for LMTP one a recipient.</summary>
    public string DotAnswer { get; set; } = "250 2.0.0 taken\r\n";

    public void Greet(string greeting = "220 mx.example ESMTP\r\n") => Give(greeting);

    /// <summary>Goes on until the session wants something else than bytes, or the script is silent.</summary>
    public void Run()
    {
        while (true)
        {
            TakeOutput();
            var line = NextLine();
            if (line is null)
            {
                return;
            }

            Said.Add(line);
            if (_inData)
            {
                if (line == ".")
                {
                    _inData = false;
                    Give(DotAnswer);
                }

                continue;
            }

            var reply = answer(line);
            if (reply is null)
            {
                return;
            }

            _inData = line == "DATA" && reply.StartsWith("354", StringComparison.Ordinal);
            Give(reply);
            if (session.Step == ClientStep.Close)
            {
                return;
            }
        }
    }

    public void Give(string bytes)
    {
        var wire = Encoding.Latin1.GetBytes(bytes);
        for (var at = 0; at < wire.Length; at += piece)
        {
            var before = (session.Step, session.Stage);
            session.Receive(wire.AsSpan(at, Math.Min(piece, wire.Length - at)));
            if (before != (session.Step, session.Stage))
            {
                Steps.Add($"{session.Step} {session.Stage}");
            }

            if (piece > wire.Length || at + piece >= wire.Length)
            {
                break;
            }
        }
    }

    private void TakeOutput()
    {
        var text = Encoding.Latin1.GetString(session.Output.WrittenSpan);
        session.Output.ResetWrittenCount();
        _pending.Append(text);
        Wire.Append(text);
    }

    private string? NextLine()
    {
        var text = _pending.ToString();
        var end = text.IndexOf("\r\n", StringComparison.Ordinal);
        if (end < 0)
        {
            return null;
        }

        _pending.Clear().Append(text, end + 2, text.Length - end - 2);
        return text[..end];
    }
}
