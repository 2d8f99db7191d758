using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Quorumail.EndToEnd.Transcripts;

/// <summary>
/// A scripted SMTP session, see corpus/README.md: <c>C:</c> lines are sent, <c>S:</c> lines are regular expressions that
/// whole reply lines must match, codes and enhanced codes included.
/// </summary>
internal sealed partial class Transcript
{
    private Transcript(string profile, IReadOnlyList<TranscriptStep> steps)
    {
        Profile = profile;
        Steps = steps;
    }

    /// <summary>Which server it is to be played to: the word after <c># server:</c>, <c>mx</c> by default.</summary>
    public string Profile { get; }

    /// <summary>What happens, in order.</summary>
    public IReadOnlyList<TranscriptStep> Steps { get; }

    /// <summary>Reads a transcript.</summary>
    /// <param name="text">The file's text.</param>
    /// <param name="variables">Values of <c>${name}</c>.</param>
    /// <exception cref="FormatException">A line is none of the known ones.</exception>
    public static Transcript Parse(string text, IReadOnlyDictionary<string, string> variables)
    {
        var profile = "mx";
        var steps = new List<TranscriptStep>();
        var number = 0;
        foreach (var raw in text.Split('\n'))
        {
            number++;
            var line = Expand(raw, variables);
            if (line.StartsWith("# server:", StringComparison.Ordinal))
            {
                profile = line["# server:".Length..].Trim();
            }
            else if (line.Length > 0 && line[0] != '#')
            {
                AddStep(steps, line, number);
            }
        }

        return new Transcript(profile, steps);
    }

    private static void AddStep(List<TranscriptStep> steps, string line, int number)
    {
        var rest = line.Length > 3 ? line[3..] : "";
        switch (line.Length >= 2 ? line[..2] : line)
        {
            case "C:":
                steps.Add(new SendStep(number, Octets(rest)));
                break;
            case "S:" when steps is [.., ReplyStep last] && IsUnfinished(last):
                steps[^1] = last with { Patterns = [.. last.Patterns, rest] };
                break;
            case "S:":
                steps.Add(new ReplyStep(number, [rest]));
                break;
            case "E:":
                steps.Add(new EndStep(number));
                break;
            case "M:":
                steps.Add(new MessagesStep(number, int.Parse(rest, CultureInfo.InvariantCulture)));
                break;
            case "B:" or "B!":
                steps.Add(new BodyStep(number, rest, line[1] == ':'));
                break;
            default:
                throw new FormatException($"Line {number} is no step of a transcript: {line}");
        }
    }

    private static bool IsUnfinished(ReplyStep reply) => reply.Patterns[^1] is { Length: > 3 } last && last[3] == '-';

    // ${name} is a variable; ${repeat COUNT TEXT} repeats.
    private static string Expand(string line, IReadOnlyDictionary<string, string> variables) =>
        Placeholder().Replace(line, match =>
        {
            var words = match.Groups["words"].Value.Split(' ', 3);
            return words[0] == "repeat"
                ? new StringBuilder().Insert(0, words[2], int.Parse(words[1], CultureInfo.InvariantCulture)).ToString()
                : variables[words[0]];
        });

    // \r \n \0 \t \\ and \xHH are octets; a line that ends in \c gets no CRLF.
    private static byte[] Octets(string text)
    {
        var octets = new List<byte>(text.Length + 2);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                octets.AddRange(Encoding.UTF8.GetBytes(text, i, 1));
                continue;
            }

            i++;
            switch (text[i])
            {
                case 'r': octets.Add((byte)'\r'); break;
                case 'n': octets.Add((byte)'\n'); break;
                case 't': octets.Add((byte)'\t'); break;
                case '0': octets.Add(0); break;
                case '\\': octets.Add((byte)'\\'); break;
                case 'c' when i == text.Length - 1: return [.. octets];
                case 'x':
                    octets.Add(byte.Parse(text.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                    i += 2;
                    break;
                default: throw new FormatException($"\\{text[i]} is no escape of a transcript.");
            }
        }

        return [.. octets, (byte)'\r', (byte)'\n'];
    }

    [GeneratedRegex(@"\$\{(?<words>[^}]+)\}", RegexOptions.None, 1000)]
    private static partial Regex Placeholder();
}
