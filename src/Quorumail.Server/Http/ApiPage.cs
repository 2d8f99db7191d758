using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Quorumail.Server.Http;

/// <summary>An OpenAPI document as a page of plain HTML: no script, nothing fetched from anywhere.</summary>
internal sealed class ApiPage
{
    private const string Style = """
        :root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #06c }
        @media (prefers-color-scheme: dark) { :root { --link: #6bf } }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
        h1 { margin-bottom: 0 } h2 { margin: 2rem 0 .2rem; border-bottom: 1px solid var(--line) } h3 { margin: 1.2rem 0 .2rem }
        a { color: var(--link) } code { font: .93em ui-monospace, monospace }
        details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: 0 .8rem }
        details[open] { padding-bottom: .8rem } summary { cursor: pointer; padding: .4rem 0 }
        .method { display: inline-block; min-width: 4.2rem; font-weight: 600 } .get { color: #2a7 } .post { color: #c80 } .put { color: #85c } .delete { color: #d44 }
        .about { opacity: .75; margin-left: .6rem }
        table { border-collapse: collapse; width: 100% } td, th { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
        """;

    private readonly StringBuilder _html = new();
    private readonly JsonElement _document;

    private ApiPage(JsonElement document) => _document = document;

    /// <summary>Allows the page its own style and nothing else.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Style)))}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Makes the page.</summary>
    public static string Render(JsonElement document)
    {
        var page = new ApiPage(document);
        page.Write();
        return page._html.ToString();
    }

    private static string Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var text) ? WebUtility.HtmlEncode(text.GetString()!) : "";

    private void Write()
    {
        var info = _document.GetProperty("info");
        _html.Append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">")
            .Append($"<title>{Text(info, "title")}: HTTP interface</title><style>{Style}</style></head><body>\n")
            .Append($"<h1>{Text(info, "title")}: HTTP interface</h1>\n<p>{Text(info, "description")}</p>\n")
            .Append("<p>For programs: <a href=\"/api/openapi.json\">/api/openapi.json</a> (OpenAPI ").Append(Text(_document, "openapi")).Append(").</p>\n");
        foreach (var tag in _document.GetProperty("tags").EnumerateArray())
        {
            _html.Append($"<h2 id=\"{Text(tag, "name")}\">{Text(tag, "description")}</h2>\n");
            WriteOperations(tag.GetProperty("name").GetString()!);
        }

        _html.Append("<h2 id=\"answers\">Answers</h2>\n");
        foreach (var schema in _document.GetProperty("components").GetProperty("schemas").EnumerateObject())
        {
            _html.Append($"<h3 id=\"{WebUtility.HtmlEncode(schema.Name)}\">{WebUtility.HtmlEncode(schema.Name)}</h3>\n");
            WriteProperties(schema.Value);
        }

        _html.Append("</body></html>\n");
    }

    private void WriteOperations(string tag)
    {
        foreach (var path in _document.GetProperty("paths").EnumerateObject())
        {
            foreach (var operation in path.Value.EnumerateObject().Where(o => o.Value.GetProperty("tags")[0].ValueEquals(tag)))
            {
                _html.Append($"<details><summary><span class=\"method {operation.Name}\">{operation.Name.ToUpperInvariant()}</span>")
                    .Append($"<code>{WebUtility.HtmlEncode(path.Name)}</code><span class=\"about\">{Text(operation.Value, "summary")}</span></summary>\n");
                WriteOperation(operation.Value);
                _html.Append("</details>\n");
            }
        }
    }

    private void WriteOperation(JsonElement operation)
    {
        if (Text(operation, "description") is { Length: > 0 } description)
        {
            _html.Append($"<p>{description}</p>\n");
        }

        if (operation.TryGetProperty("parameters", out var parameters))
        {
            _html.Append("<table><tr><th>Parameter<th>In<th>Type<th>What\n");
            foreach (var given in parameters.EnumerateArray())
            {
                var parameter = Resolve(given);
                _html.Append($"<tr><td><code>{Text(parameter, "name")}</code><td>{Text(parameter, "in")}<td>{TypeOf(parameter.GetProperty("schema"))}<td>{Text(parameter, "description")}\n");
            }

            _html.Append("</table>\n");
        }

        if (operation.TryGetProperty("requestBody", out var body))
        {
            _html.Append($"<p>Body: {Text(body, "description")}</p>\n");
        }

        _html.Append("<table><tr><th>Status<th>What<th>Answer\n");
        foreach (var response in operation.GetProperty("responses").EnumerateObject())
        {
            var answer = Resolve(response.Value);
            _html.Append($"<tr><td>{response.Name}<td>{Text(answer, "description")}<td>");
            foreach (var content in answer.GetProperty("content").EnumerateObject())
            {
                _html.Append($"{TypeOf(content.Value.GetProperty("schema"))} <small>{WebUtility.HtmlEncode(content.Name)}</small>\n");
            }
        }

        _html.Append("</table>\n");
    }

    private void WriteProperties(JsonElement schema)
    {
        _html.Append("<table>\n");
        foreach (var property in schema.GetProperty("properties").EnumerateObject())
        {
            _html.Append($"<tr><td><code>{WebUtility.HtmlEncode(property.Name)}</code><td>{TypeOf(property.Value)}<td>{Text(property.Value, "description")}\n");
        }

        _html.Append("</table>\n");
    }

    private static string TypeOf(JsonElement schema)
    {
        if (schema.TryGetProperty("$ref", out var reference))
        {
            var name = WebUtility.HtmlEncode(reference.GetString()!.Split('/')[^1]);
            return $"<a href=\"#{name}\">{name}</a>";
        }

        var type = Text(schema, "type") switch
        {
            "array" => "list of " + TypeOf(schema.GetProperty("items")),
            "object" when schema.TryGetProperty("properties", out var properties) =>
                "{ " + string.Join(", ", properties.EnumerateObject().Select(p => $"<code>{WebUtility.HtmlEncode(p.Name)}</code> {TypeOf(p.Value)}")) + " }",
            "string" when schema.TryGetProperty("enum", out var values) =>
                string.Join(" | ", values.EnumerateArray().Where(v => v.ValueKind == JsonValueKind.String).Select(v => $"<code>{WebUtility.HtmlEncode(v.GetString())}</code>")),
            "string" when Text(schema, "format") is { Length: > 0 } format => format,
            var plain => plain,
        };
        return schema.TryGetProperty("nullable", out _) ? type + " or null" : type;
    }

    private JsonElement Resolve(JsonElement element)
    {
        if (!element.TryGetProperty("$ref", out var reference))
        {
            return element;
        }

        var found = _document;
        foreach (var name in reference.GetString()!.Split('/').Skip(1))
        {
            found = found.GetProperty(name);
        }

        return found;
    }
}
