type Child = Node | string;

/** Makes an element; texts stay texts, whatever they hold. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Makes a labelled choice. */
export function choice(
  id: string,
  label: string,
  options: readonly Option[],
  onChange: (value: string) => void,
): HTMLElement {
  const select = element(
    "select",
    { id },
    ...options.map(({ value, text, isDisabled }) =>
      element("option", isDisabled ? { value, disabled: "" } : { value }, text),
    ),
  );
  select.addEventListener("change", () => {
    onChange(select.value);
  });
  return element("div", { class: "field" }, element("label", { for: id }, label), select);
}

/** One of the options of a choice. */
export interface Option {
  readonly value: string;
  readonly text: string;
  readonly isDisabled?: boolean;
}

/** Makes a list of terms with what each is. */
export function terms(pairs: readonly (readonly [term: string, text: string])[]): HTMLElement {
  return element(
    "dl",
    {},
    ...pairs.map(([term, text]) =>
      element("div", {}, element("dt", {}, term), element("dd", {}, text)),
    ),
  );
}
